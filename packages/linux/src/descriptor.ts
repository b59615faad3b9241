/**
 * File descriptors as plain numbers: opening, closing, and the calls of the hot path, which answer like the kernel
 * itself does, a count or a negative error number, and never throw.
 */
import { checked, failure, libc } from './bindings.ts';
import type { Pointer } from './libc-functions.ts';

/** Flags of open(2) (asm-generic/fcntl.h). */
export const O = {
  RDONLY: 0,
  WRONLY: 1,
  RDWR: 2,
  NONBLOCK: 0o4000,
  DIRECTORY: 0o200000,
  CLOEXEC: 0o2000000,
  /** Names a file and does not open it: nothing is asked of its file system. */
  PATH: 0o10000000,
} as const;

/** Commands of fcntl(2). */
const F = { GETFL: 3, SETFL: 4 } as const;

/**
 * Opens a file; the descriptor is closed by exec.
 *
 * @param path the file
 * @param flags of `O`
 * @returns the descriptor, or the negative error number
 */
export function openDescriptor(path: string, flags: number): number {
  return failure(libc().open(path, flags | O.CLOEXEC, 0));
}

/**
 * Closes a descriptor. Its being open is the caller's business: a wrong number is a bug.
 *
 * @param fd the descriptor
 * @throws {ErrnoError} EBADF when it is not open
 */
export function closeDescriptor(fd: number): void {
  checked(libc().close(fd), `close descriptor ${fd}`);
}

/**
 * read(2).
 *
 * @param fd the descriptor
 * @param into where the bytes go; an address is cheapest
 * @param size at most so many bytes
 * @returns the count, 0 at the end, or the negative error number
 */
export function readDescriptor(fd: number, into: Pointer, size: number): number {
  const count = libc().read(fd, into, size);
  return count < 0 ? failure(count) : count;
}

/**
 * write(2).
 *
 * @param fd the descriptor
 * @param from the bytes; an address is cheapest
 * @param size so many bytes
 * @returns the count, or the negative error number
 */
export function writeDescriptor(fd: number, from: Pointer, size: number): number {
  const count = libc().write(fd, from, size);
  return count < 0 ? failure(count) : count;
}

/**
 * pread(2).
 *
 * @param fd the descriptor
 * @param into where the bytes go
 * @param size at most so many bytes
 * @param offset in the file
 * @returns the count, 0 at the end, or the negative error number
 */
export function readDescriptorAt(fd: number, into: Pointer, size: number, offset: number | bigint): number {
  return failure(libc().pread(fd, into, size, offset));
}

/**
 * ioctl(2).
 *
 * @param fd the descriptor
 * @param request the driver's number for it
 * @param argument memory that the request reads or writes
 * @returns the answer, or the negative error number
 */
export function ioctlDescriptor(fd: number, request: number, argument: Pointer): number {
  return failure(libc().ioctl(fd, request, argument));
}

/**
 * Makes reads and writes of a descriptor answer EAGAIN instead of waiting (O_NONBLOCK).
 *
 * @param fd the descriptor
 * @throws {ErrnoError} EBADF when it is not open
 */
export function setNonBlocking(fd: number): void {
  const flags = checked(libc().fcntl(fd, F.GETFL, 0), `read the flags of descriptor ${fd}`);
  checked(libc().fcntl(fd, F.SETFL, flags | O.NONBLOCK), `make descriptor ${fd} non-blocking`);
}

/** RLIMIT_NOFILE (asm-generic/resource.h). */
const RLIMIT_NOFILE = 7;

/** How many descriptors this process may have open. Node raised the limit as far as it goes when it started. */
export function descriptorLimit(): number {
  const limits = new BigUint64Array(2);
  checked(libc().prlimit(0, RLIMIT_NOFILE, null, limits), 'read the limit on open files');
  return Number(limits[0]);
}
