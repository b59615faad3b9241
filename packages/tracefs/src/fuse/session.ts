/**
 * One FUSE connection: takes the kernel's requests for a tree and answers them.
 *
 *     /dev/fuse --bytes--> FuseSession --Caller, Reply--> TreeNode / OpenFile
 *                               |--- NodeTable: ids the kernel knows
 *                               |--- open files and open directories by handle
 *                               '--- waiting replies by unique number
 *
 * It never throws for what a request says: malformed and unknown ones are answered with EIO, EINVAL or ENOSYS.
 * It runs on the serving thread only and never blocks.
 */

import {
  encodeAttributesOut,
  encodeEntryOut,
  encodeInitOut,
  encodeOpenOut,
  encodeStatfsOut,
  FUSE_INIT_FLAG,
  FUSE_NOTIFY_POLL,
  FUSE_OPCODE,
  FUSE_OPEN_FLAG,
  FUSE_POLL_SCHEDULE_NOTIFY,
  FUSE_SET_ATTRIBUTE,
  FUSE_SIZE,
  type FuseAttributes,
  FuseRequest,
  FUSE_IOCTL_COMPAT,
} from '@usertrace/abi';
import { ERRNO, type ErrnoName, Tid, Uid } from '@usertrace/base';
import type { Caller, DirectoryNode, FileNode, OpenFile, OpenMode, TreeNode } from '../node.ts';
import { DirectoryListing } from './directory-listing.ts';
import { NodeTable } from './node-table.ts';
import { FuseReply, type ReplySender } from './reply.ts';

/** The largest write(2) that arrives as one request, and the largest read answered at once. */
export const MAX_TRANSFER_BYTES = 1_048_576;
/** What a buffer for requests must hold: the largest write, its headers, and room for the kernel's minimum. */
export const REQUEST_BUFFER_BYTES: number = MAX_TRANSFER_BYTES + 4096;
/** What a buffer for replies must hold: the largest read and its header. */
export const REPLY_BUFFER_BYTES: number = MAX_TRANSFER_BYTES + FUSE_SIZE.replyHeader;
/** Open files and directories of one mount; beyond it opening answers ENFILE. */
const MAX_OPEN_FILES = 65_536;
/** Requests that wait at once; beyond it a request that would wait answers EAGAIN. */
const MAX_WAITING_REPLIES = 16_384;
/** The longest file name; event names have at most 511 characters. */
const MAX_NAME_BYTES = 1024;

const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;
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
  // Not direct: a direct writev(2) is one request a vector, and an event must arrive whole.
  stream: FUSE_OPEN_FLAG.STREAM | FUSE_OPEN_FLAG.NONSEEKABLE,
  text: FUSE_OPEN_FLAG.DIRECT_IO,
  pipe: FUSE_OPEN_FLAG.DIRECT_IO | FUSE_OPEN_FLAG.STREAM | FUSE_OPEN_FLAG.NONSEEKABLE,
};

/** Who owns the tree's nodes unless chown(2) says otherwise. */
export interface TreeOwner {
  readonly uid: number;
  readonly gid: number;
  /** The permission bits of the root directory. */
  readonly rootMode: number;
}

/** The connection that carries a session's messages. */
export interface SessionPort {
  /** Where a request lies when it is served; at least {@link REQUEST_BUFFER_BYTES}. */
  readonly requestBuffer: Uint8Array<ArrayBuffer>;
  /** Where a reply lies when it is sent; at least {@link REPLY_BUFFER_BYTES}. */
  readonly replyBuffer: Uint8Array<ArrayBuffer>;
  /** Called before each request but those that write events: what it does may depend on which tasks exist. */
  beforeRequest(): void;
  /** Passes the reply buffer's first `length` bytes to the kernel. */
  send(length: number): void;
}

interface OpenEntry {
  readonly file: OpenFile;
  readonly access: FileNode['access'];
}

export class FuseSession implements ReplySender {
  readonly #nodes: NodeTable;
  readonly #owner: TreeOwner;
  readonly #madeAtS: number = Math.floor(Date.now() / 1000);
  readonly #openFiles = new Map<number, OpenEntry>();
  readonly #openDirectories = new Map<number, DirectoryListing>();
  readonly #waiting = new Map<number, FuseReply<never>>();
  readonly #request: FuseRequest;
  readonly #port: SessionPort;
  readonly #message: Uint8Array;
  readonly #messageView: DataView;
  readonly #writeOut: Uint8Array;
  #unusedHandle = 1;
  #isInitialised = false;
  #isOver = false;

  /**
   * @param root the tree
   * @param owner whose files they are
   * @param port carries the messages
   */
  constructor(root: DirectoryNode, owner: TreeOwner, port: SessionPort) {
    this.#nodes = new NodeTable(root);
    this.#owner = owner;
    this.#port = port;
    this.#request = new FuseRequest(port.requestBuffer);
    this.#message = port.replyBuffer;
    this.#messageView = new DataView(port.replyBuffer.buffer, port.replyBuffer.byteOffset);
    this.#writeOut = this.#message.subarray(
      FUSE_SIZE.replyHeader,
      FUSE_SIZE.replyHeader + FUSE_SIZE.writeOut,
    );
  }

  /** How much the connection holds: nodes the kernel knows, open files, and requests that wait. */
  get counts(): { nodes: number; openFiles: number; waiting: number } {
    return { nodes: this.#nodes.size, openFiles: this.#openFiles.size, waiting: this.#waiting.size };
  }

  /** The kernel settled the protocol's version: programs can be served. */
  get isInitialised(): boolean {
    return this.#isInitialised;
  }

  /** The mount is gone: no request will come. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Serves the message of `received` bytes that lies in the buffer. */
  serve(received: number): void {
    const request = this.#request;
    if (!request.receive(received)) return;
    const { opcode } = request;
    if (opcode === FUSE_OPCODE.WRITE) return this.#write();
    this.#port.beforeRequest();
    switch (opcode) {
      case FUSE_OPCODE.IOCTL:
        return this.#ioctl();
      case FUSE_OPCODE.READ:
        return this.#read();
      case FUSE_OPCODE.LOOKUP:
        return this.#lookUp();
      case FUSE_OPCODE.GETATTR:
        return this.#getAttributes();
      case FUSE_OPCODE.SETATTR:
        return this.#setAttributes();
      case FUSE_OPCODE.OPEN:
        return this.#open();
      case FUSE_OPCODE.RELEASE:
        return this.#release();
      case FUSE_OPCODE.OPENDIR:
        return this.#openDirectory();
      case FUSE_OPCODE.READDIR:
        return this.#readDirectory();
      case FUSE_OPCODE.RELEASEDIR:
        return this.#releaseDirectory();
      case FUSE_OPCODE.POLL:
        return this.#poll();
      case FUSE_OPCODE.MKDIR:
        return this.#makeDirectory();
      case FUSE_OPCODE.RMDIR:
        return this.#removeDirectory();
      case FUSE_OPCODE.UNLINK:
        return this.#fail('EPERM');
      case FUSE_OPCODE.FORGET:
        if (request.bodyLength >= FUSE_SIZE.forgetIn) this.#nodes.forget(request.nodeId, request.u64(0));
        return;
      case FUSE_OPCODE.BATCH_FORGET:
        return this.#batchForget();
      case FUSE_OPCODE.INTERRUPT:
        if (request.bodyLength >= FUSE_SIZE.interruptIn) this.#waiting.get(request.u64(0))?.interrupt();
        return;
      case FUSE_OPCODE.STATFS:
        return this.#answer(encodeStatfsOut(MAX_NAME_BYTES));
      case FUSE_OPCODE.INIT:
        return this.#initialise();
      case FUSE_OPCODE.DESTROY:
        this.#isOver = true;
        return this.#answer(new Uint8Array(0));
      default:
        // The kernel remembers ENOSYS for FLUSH, extended attributes and the like, and asks no more.
        return this.#fail('ENOSYS');
    }
  }

  /** Releases every open file and interrupts what waits; the connection is closing. */
  close(): void {
    this.#isOver = true;
    for (const reply of this.#waiting.values()) reply.interrupt();
    this.#waiting.clear();
    for (const { file } of this.#openFiles.values()) file.release();
    this.#openFiles.clear();
    this.#openDirectories.clear();
  }

  sendBody(uniqueLow: number, uniqueHigh: number, body: Uint8Array): void {
    const length = FUSE_SIZE.replyHeader + body.length;
    this.#putHeader(length, 0, uniqueLow, uniqueHigh);
    this.#message.set(body, FUSE_SIZE.replyHeader);
    this.#port.send(length);
  }

  sendError(uniqueLow: number, uniqueHigh: number, errno: number): void {
    this.#putHeader(FUSE_SIZE.replyHeader, -errno, uniqueLow, uniqueHigh);
    this.#port.send(FUSE_SIZE.replyHeader);
  }

  answered(reply: FuseReply<never>): void {
    this.#waiting.delete(uniqueNumber(reply));
  }

  #putHeader(length: number, error: number, uniqueLow: number, uniqueHigh: number): void {
    this.#messageView.setUint32(0, length, true);
    this.#messageView.setInt32(4, error, true);
    this.#messageView.setUint32(8, uniqueLow, true);
    this.#messageView.setUint32(12, uniqueHigh, true);
  }

  #answer(body: Uint8Array): void {
    this.sendBody(this.#request.uniqueLow, this.#request.uniqueHigh, body);
  }

  #fail(code: ErrnoName): void {
    this.sendError(this.#request.uniqueLow, this.#request.uniqueHigh, ERRNO[code]);
  }

  #reply<Value>(encode?: (value: Value) => Uint8Array): FuseReply<Value> {
    return new FuseReply<Value>(this, this.#request.uniqueLow, this.#request.uniqueHigh, encode);
  }

  /** Keeps a reply that its node did not give before it returned. */
  #keepIfWaiting(reply: FuseReply<never>): void {
    if (reply.isAnswered) return;
    if (this.#waiting.size >= MAX_WAITING_REPLIES) reply.fail('EAGAIN');
    else this.#waiting.set(uniqueNumber(reply), reply);
  }

  #caller(): Caller {
    const request = this.#request;
    return { tid: Tid(request.tid), uid: Uid(request.uid), gid: request.gid };
  }

  #attributes(node: TreeNode): FuseAttributes {
    const isRoot = node === this.#nodes.node(1);
    const { mode, uid, gid } = this.#nodes.ownership(node);
    const isDirectory = node.kind === 'directory';
    const permissions = mode ?? (isRoot ? this.#owner.rootMode : node.mode);
    return {
      inode: this.#nodes.inode(node),
      mode: (isDirectory ? S_IFDIR : S_IFREG) | permissions,
      hardLinks: isDirectory ? 2 : 1,
      uid: uid ?? this.#owner.uid,
      gid: gid ?? this.#owner.gid,
      timeS: this.#madeAtS,
    };
  }

  #directory(): DirectoryNode | undefined {
    const node = this.#nodes.node(this.#request.nodeId);
    return node?.kind === 'directory' ? node : undefined;
  }

  #initialise(): void {
    const { bodyLength } = this.#request;
    if (bodyLength < FUSE_SIZE.initInBefore736 || this.#request.u32(0) < 7) return this.#fail('EPROTO');
    this.#isInitialised = true;
    this.#answer(
      encodeInitOut({
        flags:
          FUSE_INIT_FLAG.ATOMIC_O_TRUNC |
          FUSE_INIT_FLAG.BIG_WRITES |
          FUSE_INIT_FLAG.PARALLEL_DIROPS |
          FUSE_INIT_FLAG.MAX_PAGES,
        maxReadAheadBytes: 0,
        maxWriteBytes: MAX_TRANSFER_BYTES,
        maxPages: MAX_TRANSFER_BYTES / 4096,
        maxBackground: 64,
      }),
    );
  }

  #lookUp(): void {
    const directory = this.#directory();
    const name = this.#request.name(0);
    if (directory === undefined || name === undefined) return this.#fail('EIO');
    const node = directory.child(name);
    if (node === undefined) return this.#fail('ENOENT');
    this.#answer(encodeEntryOut(this.#nodes.lookUp(node), this.#attributes(node)));
  }

  #getAttributes(): void {
    const node = this.#nodes.node(this.#request.nodeId);
    if (node === undefined) return this.#fail('ENOENT');
    this.#answer(encodeAttributesOut(this.#attributes(node)));
  }

  #setAttributes(): void {
    const request = this.#request;
    const node = this.#nodes.node(request.nodeId);
    if (node === undefined || request.bodyLength < FUSE_SIZE.setAttributesIn) return this.#fail('EIO');
    const valid = request.u32(0);
    if ((valid & FUSE_SET_ATTRIBUTE.MODE) !== 0) {
      this.#nodes.setOwnership(node, { mode: request.u32(68) & 0o777 });
    }
    if ((valid & FUSE_SET_ATTRIBUTE.UID) !== 0) this.#nodes.setOwnership(node, { uid: request.u32(76) });
    if ((valid & FUSE_SET_ATTRIBUTE.GID) !== 0) this.#nodes.setOwnership(node, { gid: request.u32(80) });
    if ((valid & FUSE_SET_ATTRIBUTE.SIZE) !== 0 && node.kind === 'file') node.truncate?.();
    this.#answer(encodeAttributesOut(this.#attributes(node)));
  }

  #open(): void {
    const request = this.#request;
    const node = this.#nodes.node(request.nodeId);
    if (node?.kind !== 'file' || request.bodyLength < FUSE_SIZE.openIn) return this.#fail('EIO');
    if (this.#openFiles.size >= MAX_OPEN_FILES) return this.#fail('ENFILE');
    const file = node.open(this.#caller(), openMode(request.u32(0)));
    if (typeof file === 'string') return this.#fail(file);
    const handle = this.#unusedHandle++;
    this.#openFiles.set(handle, { file, access: node.access });
    this.#answer(encodeOpenOut(handle, OPEN_FLAGS[node.access]));
  }

  #openFile(): OpenEntry | undefined {
    return this.#openFiles.get(this.#request.u64(0));
  }

  #release(): void {
    if (this.#request.bodyLength < FUSE_SIZE.releaseIn) return this.#fail('EIO');
    const handle = this.#request.u64(0);
    const entry = this.#openFiles.get(handle);
    this.#openFiles.delete(handle);
    entry?.file.release();
    this.#answer(new Uint8Array(0));
  }

  #read(): void {
    const request = this.#request;
    if (request.bodyLength < FUSE_SIZE.readIn) return this.#fail('EIO');
    const entry = this.#openFile();
    if (entry?.file.read === undefined) return this.#fail('EINVAL');
    const size = Math.min(request.u32(16), MAX_TRANSFER_BYTES);
    const reply = this.#reply((bytes: Uint8Array) => bytes.subarray(0, size));
    entry.file.read(this.#caller(), request.u64(8), size, reply);
    this.#keepIfWaiting(reply);
  }

  #write(): void {
    const request = this.#request;
    if (request.bodyLength < FUSE_SIZE.writeIn) return this.#fail('EIO');
    const size = request.u32(16);
    const entry = this.#openFile();
    if (entry?.file.write === undefined) return this.#fail('EINVAL');
    if (size !== request.bodyLength - FUSE_SIZE.writeIn) return this.#fail('EIO');
    const offset = request.u64(8);
    // A write beyond the largest transfer goes on in further requests. The first one decided about it all.
    if (entry.access === 'stream' && offset > 0) return this.#answer(this.#encodeWriteOut(size));
    if (entry.access !== 'stream') this.#port.beforeRequest();
    const reply = this.#reply(this.#encodeWriteOut);
    entry.file.write(this.#caller(), offset, request.bytes(FUSE_SIZE.writeIn, size), reply);
    this.#keepIfWaiting(reply);
  }

  /** The body's own place in the message, so that an event costs no copy. */
  #encodeWriteOut = (size: number): Uint8Array => {
    this.#messageView.setUint32(FUSE_SIZE.replyHeader, size, true);
    this.#messageView.setUint32(FUSE_SIZE.replyHeader + 4, 0, true);
    return this.#writeOut;
  };

  #ioctl(): void {
    const request = this.#request;
    if (request.bodyLength < FUSE_SIZE.ioctlIn) return this.#fail('EIO');
    const entry = this.#openFile();
    const isCompat = (request.u32(8) & FUSE_IOCTL_COMPAT) !== 0;
    if (entry?.file.ioctl === undefined || isCompat) return this.#fail('ENOTTY');
    const inputSize = request.u32(24);
    const outputSize = request.u32(28);
    if (inputSize !== request.bodyLength - FUSE_SIZE.ioctlIn) return this.#fail('EIO');
    const reply = this.#reply((output: Uint8Array) => {
      const body = new Uint8Array(FUSE_SIZE.ioctlOut + Math.min(output.length, outputSize));
      body.set(output.subarray(0, outputSize), FUSE_SIZE.ioctlOut);
      return body;
    });
    const input = request.bytes(FUSE_SIZE.ioctlIn, inputSize).slice();
    entry.file.ioctl(this.#caller(), request.u32(12), request.bigU64(16), input, reply);
    this.#keepIfWaiting(reply);
  }

  #poll(): void {
    const request = this.#request;
    if (request.bodyLength < FUSE_SIZE.pollIn) return this.#fail('EIO');
    const file = this.#openFile()?.file;
    if (file === undefined) return this.#fail('EIO');
    const isReadable = file.isReadable?.() ?? true;
    const body = new Uint8Array(FUSE_SIZE.pollOut);
    new DataView(body.buffer).setUint32(
      0,
      (isReadable ? POLLIN | POLLRDNORM : 0) | (file.write === undefined ? 0 : POLLOUT | POLLWRNORM),
      true,
    );
    if (!isReadable && (request.u32(16) & FUSE_POLL_SCHEDULE_NOTIFY) !== 0) {
      const pollHandle = request.bigU64(8);
      file.onReadable?.(() => this.#wakePollers(pollHandle));
    }
    this.#answer(body);
  }

  #wakePollers(pollHandle: bigint): void {
    if (this.#isOver) return;
    const length = FUSE_SIZE.replyHeader + FUSE_SIZE.pollWakeup;
    this.#putHeader(length, FUSE_NOTIFY_POLL, 0, 0);
    this.#messageView.setBigUint64(FUSE_SIZE.replyHeader, pollHandle, true);
    this.#port.send(length);
  }

  #openDirectory(): void {
    const directory = this.#directory();
    if (directory === undefined) return this.#fail('ENOTDIR');
    if (this.#openDirectories.size >= MAX_OPEN_FILES) return this.#fail('ENFILE');
    const handle = this.#unusedHandle++;
    this.#openDirectories.set(handle, new DirectoryListing(directory, (node) => this.#nodes.inode(node)));
    this.#answer(encodeOpenOut(handle, 0));
  }

  #readDirectory(): void {
    const request = this.#request;
    if (request.bodyLength < FUSE_SIZE.readIn) return this.#fail('EIO');
    const listing = this.#openDirectories.get(request.u64(0));
    if (listing === undefined) return this.#fail('EIO');
    const entries = listing.read(request.u64(8), Math.min(request.u32(16), MAX_TRANSFER_BYTES));
    if (entries === 'EIO') this.#fail(entries);
    else this.#answer(entries);
  }

  #releaseDirectory(): void {
    if (this.#request.bodyLength >= FUSE_SIZE.releaseIn) this.#openDirectories.delete(this.#request.u64(0));
    this.#answer(new Uint8Array(0));
  }

  #makeDirectory(): void {
    const request = this.#request;
    const directory = this.#directory();
    const name =
      request.bodyLength > FUSE_SIZE.makeDirectoryIn ? request.name(FUSE_SIZE.makeDirectoryIn) : undefined;
    if (directory === undefined || name === undefined) return this.#fail('EIO');
    const outcome = directory.makeDirectory?.(name) ?? 'EPERM';
    if (outcome !== 'made') return this.#fail(outcome);
    const node = directory.child(name);
    if (node === undefined) return this.#fail('EIO');
    this.#answer(encodeEntryOut(this.#nodes.lookUp(node), this.#attributes(node)));
  }

  #removeDirectory(): void {
    const directory = this.#directory();
    const name = this.#request.name(0);
    if (directory === undefined || name === undefined) return this.#fail('EIO');
    const outcome = directory.removeDirectory?.(name) ?? 'EPERM';
    if (outcome !== 'removed') return this.#fail(outcome);
    this.#answer(new Uint8Array(0));
  }

  #batchForget(): void {
    const request = this.#request;
    if (request.bodyLength < FUSE_SIZE.batchForgetIn) return;
    const room = Math.floor((request.bodyLength - FUSE_SIZE.batchForgetIn) / FUSE_SIZE.forgetOne);
    const count = Math.min(request.u32(0), room);
    for (let index = 0; index < count; index++) {
      const offset = FUSE_SIZE.batchForgetIn + index * FUSE_SIZE.forgetOne;
      this.#nodes.forget(request.u64(offset), request.u64(offset + 8));
    }
  }
}

/** Request numbers grow from 0 by 2; they stay exact in a double for longer than any mount lives. */
function uniqueNumber(reply: { uniqueLow: number; uniqueHigh: number }): number {
  return reply.uniqueLow + reply.uniqueHigh * 0x1_0000_0000;
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
