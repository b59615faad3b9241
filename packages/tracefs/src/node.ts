/**
 * What a tree is made of, as the FUSE session sees it: directories that find and list their children, files
 * that open, and open files that read and write. Everything that may wait answers through a `Reply`.
 *
 * Nodes are owned by the tree; an open file is owned by the session from `open` until it calls `release`.
 */

import type { ErrnoName, Tid, Uid } from '@usertrace/base';

/** Who sent a request: the thread, and its ids at that moment, as the kernel's FUSE header says. */
export interface Caller {
  readonly tid: Tid;
  readonly uid: Uid;
  readonly gid: number;
}

/**
 * Where the answer to one request goes. Exactly one of `done` and `fail` is called, once, now or later; calls
 * after that (an interrupted request that completes late) are ignored.
 */
export interface Reply<Value> {
  done(value: Value): void;
  fail(code: ErrnoName): void;
  /**
   * Makes the request interruptible: when a signal reaches the caller while it waits, the handler withdraws what
   * was kept for it, and the session answers EINTR. A request without a handler is not interrupted and must end
   * within a deadline.
   */
  onInterrupt(withdraw: () => void): void;
}

/** An open file. Offsets and sizes are in bytes. */
export interface OpenFile {
  /**
   * Answers at most `size` bytes from `offset`; no bytes mean the end of the file.
   *
   * @param isNonBlocking whether O_NONBLOCK is set now, which fcntl(2) may have changed; as at open(2) when left out
   */
  read?(
    caller: Caller,
    offset: number,
    size: number,
    reply: Reply<Uint8Array>,
    isNonBlocking?: boolean,
  ): void;
  /** Takes `bytes`, which are only valid during the call, and answers how many were used. */
  write?(caller: Caller, offset: number, bytes: Uint8Array, reply: Reply<number>): void;
  /**
   * Serves ioctl(2). `argument` is the value passed as third argument (an address in the caller's memory);
   * `input` the bytes which the kernel copied from there because of the command's size field, and what is
   * answered is copied back there.
   */
  ioctl?(
    caller: Caller,
    command: number,
    argument: bigint,
    input: Uint8Array,
    reply: Reply<Uint8Array>,
  ): void;
  /** Whether a read would answer at once. Without it, a file is always ready. */
  isReadable?(): boolean;
  /**
   * Calls `ready` once, when something has come and a read would answer. After `isReadable` said true, too: an
   * edge-triggered epoll(7) waits for what comes then.
   */
  onReadable?(ready: () => void): void;
  /** The last descriptor for this open file was closed. */
  release(): void;
}

/** How a file was opened: the flags of open(2). */
export interface OpenMode {
  readonly readable: boolean;
  readonly writable: boolean;
  readonly nonBlocking: boolean;
  readonly append: boolean;
  /** O_TRUNC was given (the session never truncates by itself). */
  readonly truncate: boolean;
}

interface OwnedNode {
  /**
   * chmod(2) or chown(2) set something, which is kept with this object: it must be the same as long as the node exists.
   * Without it, it is anyway.
   */
  readonly keep?: () => void;
}

export interface FileNode extends OwnedNode {
  readonly kind: 'file';
  /** Permission bits, such as 0o640. */
  readonly mode: number;
  /**
   * How reads and writes reach the file. `stream`: a write(2) or writev(2) is one request, whole, and the file
   * has no position (user_events_data). `text`: positions count, and nothing is cached. `pipe`: a text file that
   * cannot seek (trace_pipe, trace_marker).
   */
  readonly access: 'stream' | 'text' | 'pipe';
  open(caller: Caller, mode: OpenMode): OpenFile | ErrnoName;
  /** Sets the size to 0 without an open file (truncate(2)); files without it ignore truncation. */
  truncate?(): void;
}

export interface DirectoryNode extends OwnedNode {
  readonly kind: 'directory';
  readonly mode: number;
  /** The child of that name, or undefined. The same object each time, while somebody holds it or it exists and is kept. */
  child(name: string): TreeNode | undefined;
  /**
   * Names and kinds of all children now, in the order they are listed. A name that no directory can hold (empty,
   * or with a slash) may occur, as on the kernel; the session ends the listing there with EIO.
   */
  entries(): Iterable<{ readonly name: string; readonly kind: TreeNode['kind'] }>;
  /** mkdir(2) below this directory; without it EPERM. */
  makeDirectory?(name: string): 'made' | ErrnoName;
  /** rmdir(2) below this directory; without it EPERM. */
  removeDirectory?(name: string): 'removed' | ErrnoName;
}

export type TreeNode = FileNode | DirectoryNode;
