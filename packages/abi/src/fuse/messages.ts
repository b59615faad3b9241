/**
 * Messages of the FUSE protocol, version 7.31 and later: what the kernel writes to and reads from /dev/fuse.
 *
 *     request:  0        4        8                16               24     28     32     36    38  40
 *               | length | opcode |     unique     |     nodeid     | uid  | gid  | tid  | ext |   | body ...
 *     reply:    0        4        8                16
 *               | length | -errno |     unique     | body ...
 *
 * All numbers are little-endian. A message is read in place: nothing here keeps a reference to the bytes.
 * Source: the kernel's include/uapi/linux/fuse.h (layouts and numbers) and Documentation/filesystems/fuse.
 */

/** What the kernel asks for, by its number in the request's header. */
export const FUSE_OPCODE = {
  LOOKUP: 1,
  FORGET: 2,
  GETATTR: 3,
  SETATTR: 4,
  SYMLINK: 6,
  MKNOD: 8,
  MKDIR: 9,
  UNLINK: 10,
  RMDIR: 11,
  RENAME: 12,
  LINK: 13,
  OPEN: 14,
  READ: 15,
  WRITE: 16,
  STATFS: 17,
  RELEASE: 18,
  FSYNC: 20,
  GETXATTR: 22,
  LISTXATTR: 23,
  FLUSH: 25,
  INIT: 26,
  OPENDIR: 27,
  READDIR: 28,
  RELEASEDIR: 29,
  CREATE: 35,
  INTERRUPT: 36,
  DESTROY: 38,
  IOCTL: 39,
  POLL: 40,
  BATCH_FORGET: 42,
  RENAME2: 45,
} as const;

/** Sizes in bytes of the fixed parts; each is asserted against its encoder or decoder in the tests. */
export const FUSE_SIZE = {
  requestHeader: 40,
  replyHeader: 16,
  initIn: 64,
  initInBefore736: 16,
  initOut: 64,
  attributes: 88,
  entryOut: 128,
  attributesOut: 104,
  setAttributesIn: 88,
  openIn: 8,
  openOut: 16,
  readIn: 40,
  writeIn: 40,
  writeOut: 8,
  releaseIn: 24,
  ioctlIn: 32,
  ioctlOut: 16,
  pollIn: 24,
  pollOut: 8,
  pollWakeup: 8,
  makeDirectoryIn: 8,
  makeNodeIn: 16,
  interruptIn: 8,
  forgetIn: 8,
  batchForgetIn: 8,
  forgetOne: 16,
  statfsOut: 80,
  directoryEntryHeader: 24,
} as const;

/** INIT flags this server asks for. */
export const FUSE_INIT_FLAG = {
  /** O_TRUNC comes with OPEN instead of a SETATTR of its own. */
  ATOMIC_O_TRUNC: 0x8,
  /** A write may carry more than one page. */
  BIG_WRITES: 0x20,
  /** LOOKUPs in one directory may be concurrent. */
  PARALLEL_DIROPS: 0x40000,
  /** `max_pages` of the reply counts. */
  MAX_PAGES: 0x400000,
} as const;

/** Flags of an OPEN reply. */
export const FUSE_OPEN_FLAG = {
  /** Every read and write reaches the server, nothing is cached. */
  DIRECT_IO: 0x1,
  /** lseek(2), pread(2) and pwrite(2) fail with ESPIPE. */
  NONSEEKABLE: 0x4,
  /** The file has no position at all, so a write that crosses a page is not split. */
  STREAM: 0x10,
  /**
   * close(2) sends no FLUSH. exec(2) closes files while it holds a lock that reading /proc/PID/stat of that task takes:
   * if it waited for an answer then, a server that looks at the task would never give one.
   */
  NOFLUSH: 0x20,
} as const;

/** Which parts of a SETATTR request count. */
export const FUSE_SET_ATTRIBUTE = { MODE: 0x1, UID: 0x2, GID: 0x4, SIZE: 0x8 } as const;

/** POLL's flag that asks for a wake-up when the file becomes ready. */
export const FUSE_POLL_SCHEDULE_NOTIFY = 1;
/** The notification (in place of the error of a reply) that wakes pollers. */
export const FUSE_NOTIFY_POLL = 1;
/** IOCTL's flag of a 32-bit caller. */
export const FUSE_IOCTL_COMPAT = 1;

/** The protocol this server speaks; a kernel with a newer minor version falls back to it. */
const FUSE_VERSION = { major: 7, minor: 31 } as const;

/** What stat(2) says about a node. */
export interface FuseAttributes {
  readonly inode: number;
  /** File type and permission bits. */
  readonly mode: number;
  readonly hardLinks: number;
  readonly uid: number;
  readonly gid: number;
  /** When the tree was made, in seconds since 1970; it stands for all three times. */
  readonly timeS: number;
}

function putAttributes(view: DataView, offset: number, attributes: FuseAttributes): void {
  view.setBigUint64(offset, BigInt(attributes.inode), true);
  for (const timeOffset of [24, 32, 40]) {
    view.setBigUint64(offset + timeOffset, BigInt(attributes.timeS), true);
  }
  view.setUint32(offset + 60, attributes.mode, true);
  view.setUint32(offset + 64, attributes.hardLinks, true);
  view.setUint32(offset + 68, attributes.uid, true);
  view.setUint32(offset + 72, attributes.gid, true);
  view.setUint32(offset + 80, 4096, true);
}

/**
 * The body of a LOOKUP or MKDIR reply. Validity times are 0: the kernel asks again each time, since events come
 * and go.
 */
export function encodeEntryOut(nodeId: number, attributes: FuseAttributes): Uint8Array {
  const bytes = new Uint8Array(FUSE_SIZE.entryOut);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(nodeId), true);
  putAttributes(view, 40, attributes);
  return bytes;
}

/** The body of a GETATTR or SETATTR reply, valid for no time. */
export function encodeAttributesOut(attributes: FuseAttributes): Uint8Array {
  const bytes = new Uint8Array(FUSE_SIZE.attributesOut);
  putAttributes(new DataView(bytes.buffer), 16, attributes);
  return bytes;
}

/** The body of an OPEN or OPENDIR reply. `openFlags` are of {@link FUSE_OPEN_FLAG}. */
export function encodeOpenOut(fileHandle: number, openFlags: number): Uint8Array {
  const bytes = new Uint8Array(FUSE_SIZE.openOut);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(fileHandle), true);
  view.setUint32(8, openFlags, true);
  return bytes;
}

/** What INIT settles: limits in bytes and pages. */
export interface FuseInitReply {
  readonly flags: number;
  readonly maxReadAheadBytes: number;
  readonly maxWriteBytes: number;
  readonly maxPages: number;
  /** How many requests that nobody waits for the kernel may have under way. */
  readonly maxBackground: number;
}

/** The body of an INIT reply. */
export function encodeInitOut(reply: FuseInitReply): Uint8Array {
  const bytes = new Uint8Array(FUSE_SIZE.initOut);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, FUSE_VERSION.major, true);
  view.setUint32(4, FUSE_VERSION.minor, true);
  view.setUint32(8, reply.maxReadAheadBytes, true);
  view.setUint32(12, reply.flags, true);
  view.setUint16(16, reply.maxBackground, true);
  view.setUint16(18, Math.floor((reply.maxBackground * 3) / 4), true);
  view.setUint32(20, reply.maxWriteBytes, true);
  view.setUint32(24, 1, true); // time granularity in ns
  view.setUint16(28, reply.maxPages, true);
  return bytes;
}

/** The body of a STATFS reply: an empty file system whose names may have `maxNameBytes`. */
export function encodeStatfsOut(maxNameBytes: number): Uint8Array {
  const bytes = new Uint8Array(FUSE_SIZE.statfsOut);
  const view = new DataView(bytes.buffer);
  view.setUint32(40, 4096, true);
  view.setUint32(44, maxNameBytes, true);
  view.setUint32(48, 4096, true);
  return bytes;
}

/** An entry's type in a directory listing (readdir(3)'s d_type). */
export const DIRECTORY_ENTRY_TYPE = { directory: 4, file: 8 } as const;

/**
 * Puts one directory entry at `offset`, if it fits.
 *
 * @param nextOffset the position a later READDIR goes on from behind this entry
 * @param name bytes as latin1
 * @returns the bytes used (a multiple of 8), or 0 when it does not fit
 */
export function putDirectoryEntry(
  bytes: Uint8Array,
  offset: number,
  inode: number,
  nextOffset: number,
  type: number,
  name: string,
): number {
  const used = (FUSE_SIZE.directoryEntryHeader + name.length + 7) & ~7;
  if (offset + used > bytes.length) return 0;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  view.setBigUint64(offset, BigInt(inode), true);
  view.setBigUint64(offset + 8, BigInt(nextOffset), true);
  view.setUint32(offset + 16, name.length, true);
  view.setUint32(offset + 20, type, true);
  for (let index = 0; index < name.length; index++) {
    bytes[offset + FUSE_SIZE.directoryEntryHeader + index] = name.charCodeAt(index);
  }
  return used;
}
