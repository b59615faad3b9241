/** What is in a process's memory. */
import { closeSync, openSync, readSync } from 'node:fs';

/** @throws {Error} when it is not there or may not be read */
export function readMemory(pid: number, address: number, size: number): Buffer {
  const bytes = Buffer.alloc(size);
  const descriptor = openSync(`/proc/${pid}/mem`, 'r');
  try {
    if (readSync(descriptor, bytes, 0, size, address) !== size) throw new Error(`Cannot read ${size} bytes`);
    return bytes;
  } finally {
    closeSync(descriptor);
  }
}
