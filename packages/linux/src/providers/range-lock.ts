/**
 * Locks of single bytes of a file that belong to an open file description (fcntl_locking(2), F_OFD_SETLK).
 *
 * The kernel frees them when the last descriptor of that open file is closed, so also when its process dies, however it
 * dies; nothing has to be cleaned up, and no process id is believed. They may lie behind the file's end. Memory that is
 * mapped through an open file keeps it open, and so its locks held: map through another one.
 *
 * A description does not see its own locks: whoever wants to know whether a byte is locked asks through another.
 */
import { addressOf, checked, lastErrno, libc, systemCallError } from '../bindings.ts';

/** Commands of fcntl(2) and types of locks (asm-generic/fcntl.h). */
const F_OFD_GETLK = 36;
const F_OFD_SETLK = 37;
const F_WRLCK = 1;
const F_UNLCK = 2;

const EAGAIN = 11;
const EACCES = 13;

/** struct flock: s16 type, s16 whence (0: from the start), s64 start, s64 length, s32 pid, which has to be 0. */
const flock = new BigInt64Array(4);
const flockType = new Int16Array(flock.buffer);

function ask(fd: number, command: number, type: number, offset: number): number {
  flock[0] = 0n;
  flockType[0] = type;
  flock[1] = BigInt(offset);
  flock[2] = 1n;
  flock[3] = 0n;
  return libc().fcntl(fd, command, addressOf(flock));
}

/**
 * Takes the lock of a byte, without waiting.
 *
 * @param fd the descriptor, open for writing, whose open file is to hold the lock
 * @param offset the byte
 * @returns whether it is held now: false when another open file has it
 * @throws {ErrnoError} when the file system has no locks, or the kernel no room for more
 */
export function tryLockByte(fd: number, offset: number): boolean {
  if (ask(fd, F_OFD_SETLK, F_WRLCK, offset) >= 0) return true;
  const errno = lastErrno();
  if (errno === EAGAIN || errno === EACCES) return false;
  throw systemCallError(errno, `lock byte ${offset} of descriptor ${fd}`);
}

/**
 * Releases the lock of a byte; one that is not held stays so.
 *
 * @param fd the descriptor whose open file holds it
 * @param offset the byte
 */
export function unlockByte(fd: number, offset: number): void {
  checked(ask(fd, F_OFD_SETLK, F_UNLCK, offset), `unlock byte ${offset} of descriptor ${fd}`);
}

/**
 * Whether another open file than this descriptor's holds the lock of a byte.
 *
 * @param fd the descriptor through which to ask
 * @param offset the byte
 */
export function isByteLocked(fd: number, offset: number): boolean {
  checked(ask(fd, F_OFD_GETLK, F_WRLCK, offset), `look for a lock of descriptor ${fd}`);
  return flockType[0] !== F_UNLCK;
}
