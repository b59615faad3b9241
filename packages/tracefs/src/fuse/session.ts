/**
 * One FUSE connection: takes the kernel's requests for a tree and answers them.
 *
 *     /dev/fuse --bytes--> FuseSession --- Exchange: the request at hand, replies, and those that wait
 *                               |--- FileRequests: open files by handle  --Caller, Reply--> OpenFile
 *                               |--- NodeRequests: open directories      -----------------> TreeNode
 *                               '--- NodeTable: ids the kernel knows
 *
 * It never throws for what a request says: malformed and unknown ones are answered with EIO, EINVAL or ENOSYS.
 * It runs on the serving thread only and never blocks.
 */

import { encodeInitOut, encodeStatfsOut, FUSE_INIT_FLAG, FUSE_OPCODE, FUSE_SIZE } from '@usertrace/abi';
import type { DirectoryNode } from '../node.ts';
import { Exchange, MAX_TRANSFER_BYTES, type SessionPort } from './exchange.ts';
import { FileRequests } from './file-requests.ts';
import { NodeRequests, type TreeOwner } from './node-requests.ts';
import { NodeTable } from './node-table.ts';

/** The longest file name; event names have at most 511 characters. */
const MAX_NAME_BYTES = 1024;

export class FuseSession {
  readonly #nodes: NodeTable;
  readonly #exchange: Exchange;
  readonly #fileRequests: FileRequests;
  readonly #nodeRequests: NodeRequests;
  #isInitialised = false;
  #isOver = false;

  /**
   * @param root the tree
   * @param owner whose files they are
   * @param port carries the messages
   */
  constructor(root: DirectoryNode, owner: TreeOwner, port: SessionPort) {
    this.#nodes = new NodeTable(root);
    this.#exchange = new Exchange(port);
    this.#fileRequests = new FileRequests(this.#exchange, this.#nodes, owner);
    this.#nodeRequests = new NodeRequests(this.#exchange, this.#nodes, owner);
  }

  /** How much the connection holds: nodes the kernel knows, open files, and requests that wait. */
  get counts(): { nodes: number; openFiles: number; waiting: number } {
    return {
      nodes: this.#nodes.size,
      openFiles: this.#fileRequests.openCount,
      waiting: this.#exchange.waitingCount,
    };
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
    const { request } = this.#exchange;
    if (!request.receive(received)) return;
    const { opcode } = request;
    if (opcode === FUSE_OPCODE.WRITE) return this.#fileRequests.write();
    this.#exchange.port.beforeRequest();
    switch (opcode) {
      case FUSE_OPCODE.IOCTL:
        return this.#fileRequests.ioctl();
      case FUSE_OPCODE.READ:
        return this.#fileRequests.read();
      case FUSE_OPCODE.LOOKUP:
        return this.#nodeRequests.lookUp();
      case FUSE_OPCODE.GETATTR:
        return this.#nodeRequests.getAttributes();
      case FUSE_OPCODE.SETATTR:
        return this.#nodeRequests.setAttributes();
      case FUSE_OPCODE.OPEN:
        return this.#fileRequests.open();
      case FUSE_OPCODE.RELEASE:
        return this.#fileRequests.release();
      case FUSE_OPCODE.OPENDIR:
        return this.#nodeRequests.openDirectory();
      case FUSE_OPCODE.READDIR:
        return this.#nodeRequests.readDirectory();
      case FUSE_OPCODE.RELEASEDIR:
        return this.#nodeRequests.releaseDirectory();
      case FUSE_OPCODE.POLL:
        return this.#fileRequests.poll();
      case FUSE_OPCODE.MKDIR:
        return this.#nodeRequests.makeDirectory();
      case FUSE_OPCODE.RMDIR:
        return this.#nodeRequests.removeDirectory();
      case FUSE_OPCODE.CREATE:
        return this.#nodeRequests.createFile();
      case FUSE_OPCODE.MKNOD:
        return this.#nodeRequests.makeNode();
      case FUSE_OPCODE.UNLINK:
      case FUSE_OPCODE.SYMLINK:
      case FUSE_OPCODE.LINK:
      case FUSE_OPCODE.RENAME:
      case FUSE_OPCODE.RENAME2:
        return this.#exchange.fail('EPERM');
      case FUSE_OPCODE.FORGET:
        return this.#nodeRequests.forget();
      case FUSE_OPCODE.BATCH_FORGET:
        return this.#nodeRequests.batchForget();
      case FUSE_OPCODE.INTERRUPT:
        if (request.bodyLength >= FUSE_SIZE.interruptIn) this.#exchange.interrupt(request.u64(0));
        return;
      case FUSE_OPCODE.STATFS:
        return this.#exchange.answer(encodeStatfsOut(MAX_NAME_BYTES));
      case FUSE_OPCODE.INIT:
        return this.#initialise();
      case FUSE_OPCODE.DESTROY:
        this.#isOver = true;
        return this.#exchange.answer(new Uint8Array(0));
      default:
        // The kernel remembers ENOSYS for FLUSH, extended attributes and the like, and asks no more.
        return this.#exchange.fail('ENOSYS');
    }
  }

  /** Releases every open file and interrupts what waits; the connection is closing. */
  close(): void {
    this.#isOver = true;
    this.#exchange.close();
    this.#fileRequests.close();
    this.#nodeRequests.close();
  }

  #initialise(): void {
    const { bodyLength } = this.#exchange.request;
    if (bodyLength < FUSE_SIZE.initInBefore736 || this.#exchange.request.u32(0) < 7)
      return this.#exchange.fail('EPROTO');
    this.#isInitialised = true;
    this.#exchange.answer(
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
}
