/**
 * Requests on files: OPEN to RELEASE, and what happens in between. Holds the open files by their handles, which are this
 * mount's own numbers, from OPEN until the last descriptor in whichever process is closed.
 */

import {
  encodeOpenOut,
  FUSE_IOCTL_COMPAT,
  FUSE_OPEN_FLAG,
  FUSE_POLL_SCHEDULE_NOTIFY,
  FUSE_SIZE,
} from '@usertrace/abi';
import { Uid } from '@usertrace/base';
import type { FileNode, OpenFile, OpenMode } from '../node.ts';
import { UserShares } from '../user-shares.ts';
import { type Exchange, MAX_TRANSFER_BYTES } from './exchange.ts';
import type { TreeOwner } from './node-requests.ts';
import type { NodeTable } from './node-table.ts';

/** Open files of one mount, shared by its users; who has no share left gets ENFILE. */
const MAX_OPEN_FILES = 65_536;

const O_ACCMODE = 0o3;
const O_WRONLY = 0o1;
const O_RDWR = 0o2;
const O_TRUNC = 0o1000;
const O_APPEND = 0o2000;
const O_NONBLOCK = 0o4000;
const POLLIN = 0x1;
const POLLOUT = 0x4;
const POLLRDNORM = 0x40;
const POLLWRNORM = 0x100;

const OPEN_FLAGS: Record<FileNode['access'], number> = {
  // Not direct: a direct writev(2) of more than 256 vectors is several requests, and an event must arrive whole.
  stream: FUSE_OPEN_FLAG.STREAM | FUSE_OPEN_FLAG.NONSEEKABLE | FUSE_OPEN_FLAG.NOFLUSH,
  text: FUSE_OPEN_FLAG.DIRECT_IO | FUSE_OPEN_FLAG.NOFLUSH,
  pipe:
    FUSE_OPEN_FLAG.DIRECT_IO | FUSE_OPEN_FLAG.STREAM | FUSE_OPEN_FLAG.NONSEEKABLE | FUSE_OPEN_FLAG.NOFLUSH,
};

interface OpenEntry {
  readonly file: OpenFile;
  /** Who opened it, and has it on the account. */
  readonly uid: Uid;
  readonly access: FileNode['access'];
  /** Opened with O_APPEND: see `openFlags`. */
  readonly isAppended: boolean;
  /** Where the rest of a write would begin that was longer than one request; 0 when none is expected. */
  restStart: number;
}

/** Requests are cut at the end of a page. */
const PAGE_BYTES = 4096;

export class FileRequests {
  readonly #exchange: Exchange;
  readonly #nodes: NodeTable;
  readonly #openFiles = new Map<number, OpenEntry>();
  readonly #shares: UserShares;
  #unusedHandle = 1;
  #isClosed = false;

  /**
   * @param exchange has the requests, and takes the answers
   * @param nodes what the kernel knows of the tree
   * @param owner whose the tree is
   */
  constructor(exchange: Exchange, nodes: NodeTable, owner: TreeOwner) {
    this.#exchange = exchange;
    this.#nodes = nodes;
    this.#shares = new UserShares(MAX_OPEN_FILES, Uid(owner.uid));
  }

  /** How many files are open. */
  get openCount(): number {
    return this.#openFiles.size;
  }

  /** Releases every open file; no poller is woken any more. */
  close(): void {
    this.#isClosed = true;
    for (const { file } of this.#openFiles.values()) file.release();
    this.#openFiles.clear();
  }

  open(): void {
    const { request } = this.#exchange;
    const node = this.#nodes.node(request.nodeId);
    if (node?.kind !== 'file' || request.bodyLength < FUSE_SIZE.openIn) return this.#exchange.fail('EIO');
    const caller = this.#exchange.caller();
    const { uid } = caller;
    if (!this.#shares.take(uid)) return this.#exchange.fail('ENFILE');
    const mode = openMode(request.u32(0));
    const file = node.open(caller, mode);
    if (typeof file === 'string') {
      this.#shares.giveBack(uid);
      return this.#exchange.fail(file);
    }
    const handle = this.#unusedHandle++;
    this.#openFiles.set(handle, { file, uid, access: node.access, isAppended: mode.append, restStart: 0 });
    this.#exchange.answer(encodeOpenOut(handle, openFlags(node.access, mode)));
  }

  release(): void {
    if (this.#exchange.request.bodyLength < FUSE_SIZE.releaseIn) return this.#exchange.fail('EIO');
    const handle = this.#exchange.request.u64(0);
    const entry = this.#openFiles.get(handle);
    if (entry !== undefined) {
      this.#openFiles.delete(handle);
      this.#shares.giveBack(entry.uid);
      entry.file.release();
    }
    this.#exchange.answer(new Uint8Array(0));
  }

  read(): void {
    const { request } = this.#exchange;
    if (request.bodyLength < FUSE_SIZE.readIn) return this.#exchange.fail('EIO');
    const entry = this.#openFile();
    if (entry?.file.read === undefined) return this.#exchange.fail('EINVAL');
    const size = Math.min(request.u32(16), MAX_TRANSFER_BYTES);
    const reply = this.#exchange.reply((bytes: Uint8Array) => bytes.subarray(0, size));
    const isNonBlocking = (request.u32(32) & O_NONBLOCK) !== 0;
    entry.file.read(this.#exchange.caller(), request.u64(8), size, reply, isNonBlocking);
    this.#exchange.keepIfWaiting(reply);
  }

  write(): void {
    const { request } = this.#exchange;
    if (request.bodyLength < FUSE_SIZE.writeIn) return this.#exchange.fail('EIO');
    const size = request.u32(16);
    const entry = this.#openFile();
    if (entry?.file.write === undefined) return this.#exchange.fail('EINVAL');
    if (size !== request.bodyLength - FUSE_SIZE.writeIn) return this.#exchange.fail('EIO');
    const offset = request.u64(8);
    if (entry.access === 'stream') {
      // A write goes on in further requests beyond the largest transfer, and, since Linux 6.16, at a page of the writer's
      // that is not in memory. The first one decided about it all. With O_APPEND, which fcntl(2) may have set, other
      // offsets mean nothing.
      const isAppended = entry.isAppended || (request.u32(32) & O_APPEND) !== 0;
      const isRest = offset > 0 && (!isAppended || offset === entry.restStart);
      // What is written directly is cut at the end of a page of the writer's, whichever that is.
      const startInPage = entry.isAppended ? PAGE_BYTES : offset % PAGE_BYTES;
      entry.restStart = startInPage + size >= MAX_TRANSFER_BYTES ? offset + size : 0;
      if (isRest) return this.#exchange.answer(this.#exchange.encodeWriteOut(size));
    } else this.#exchange.port.beforeRequest();
    const reply = this.#exchange.reply(this.#exchange.encodeWriteOut);
    entry.file.write(this.#exchange.caller(), offset, request.bytes(FUSE_SIZE.writeIn, size), reply);
    this.#exchange.keepIfWaiting(reply);
  }

  ioctl(): void {
    const { request } = this.#exchange;
    if (request.bodyLength < FUSE_SIZE.ioctlIn) return this.#exchange.fail('EIO');
    const entry = this.#openFile();
    const isCompat = (request.u32(8) & FUSE_IOCTL_COMPAT) !== 0;
    if (entry?.file.ioctl === undefined || isCompat) return this.#exchange.fail('ENOTTY');
    const inputSize = request.u32(24);
    const outputSize = request.u32(28);
    if (inputSize !== request.bodyLength - FUSE_SIZE.ioctlIn) return this.#exchange.fail('EIO');
    const reply = this.#exchange.reply((output: Uint8Array) => {
      const body = new Uint8Array(FUSE_SIZE.ioctlOut + Math.min(output.length, outputSize));
      body.set(output.subarray(0, outputSize), FUSE_SIZE.ioctlOut);
      return body;
    });
    const input = request.bytes(FUSE_SIZE.ioctlIn, inputSize).slice();
    entry.file.ioctl(this.#exchange.caller(), request.u32(12), request.bigU64(16), input, reply);
    this.#exchange.keepIfWaiting(reply);
  }

  poll(): void {
    const { request } = this.#exchange;
    if (request.bodyLength < FUSE_SIZE.pollIn) return this.#exchange.fail('EIO');
    const file = this.#openFile()?.file;
    if (file === undefined) return this.#exchange.fail('EIO');
    const isReadable = file.isReadable?.() ?? true;
    const body = new Uint8Array(FUSE_SIZE.pollOut);
    new DataView(body.buffer).setUint32(
      0,
      (isReadable ? POLLIN | POLLRDNORM : 0) | (file.write === undefined ? 0 : POLLOUT | POLLWRNORM),
      true,
    );
    if ((request.u32(16) & FUSE_POLL_SCHEDULE_NOTIFY) !== 0) {
      const pollHandle = request.bigU64(8);
      file.onReadable?.(() => {
        if (!this.#isClosed) this.#exchange.wakePollers(pollHandle);
      });
    }
    this.#exchange.answer(body);
  }

  /** The file that the request names; each of them begins with the handle. */
  #openFile(): OpenEntry | undefined {
    return this.#openFiles.get(this.#exchange.request.u64(0));
  }
}

/**
 * With O_APPEND the kernel counts an offset up, and cuts what it does not write directly at each page of the file: it
 * would tear the events that lie across one.
 */
function openFlags(access: FileNode['access'], mode: OpenMode): number {
  return OPEN_FLAGS[access] | (access === 'stream' && mode.append ? FUSE_OPEN_FLAG.DIRECT_IO : 0);
}

function openMode(flags: number): OpenMode {
  const access = flags & O_ACCMODE;
  return {
    readable: access !== O_WRONLY,
    writable: access === O_WRONLY || access === O_RDWR,
    nonBlocking: (flags & O_NONBLOCK) !== 0,
    append: (flags & O_APPEND) !== 0,
    truncate: (flags & O_TRUNC) !== 0,
  };
}
