/**
 * Memory of a file that this program shares with others (mmap(2), MAP_SHARED). Whoever maps it unmaps it; a view of it
 * that is used afterwards crashes the program.
 */
import { checked, libc, viewOf } from '../bindings.ts';

const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;

/** A part of a file in memory. */
export interface SharedMapping {
  readonly address: number;
  readonly memory: ArrayBuffer;
}

/**
 * Reserves a part of a file, so that a full file system is an error here and not a SIGBUS later, and maps it.
 *
 * @param fd the file, open for reading and writing; it grows when the part goes behind its end
 * @param offset a multiple of 4096
 * @param size bytes
 * @throws {ErrnoError} ENOSPC when the file system is full, ENOMEM, EDQUOT
 */
export function mapShared(fd: number, offset: number, size: number): SharedMapping {
  checked(libc().fallocate(fd, 0, offset, size), `reserve ${size} bytes of shared memory`);
  const address = checked(
    libc().mmap(null, size, PROT_READ_WRITE, MAP_SHARED, fd, offset),
    `map ${size} bytes of shared memory`,
  );
  return { address, memory: viewOf(address, size) };
}

/**
 * Takes a mapping away. Nothing may use it any more.
 *
 * @param address its first byte
 * @param size bytes
 */
export function unmapShared(address: number, size: number): void {
  checked(libc().munmap(address, size), `unmap ${size} bytes of shared memory`);
}
