/** What a mapped file holds itself, whatever stands in the program's copy of it. */

import { closeSync, openSync, readSync } from 'node:fs';
import { fileIdentity, type Mapping } from './process-maps.ts';

/**
 * Whether a file has a byte where a program has an address of it.
 *
 * @param pid of a process that has the mapping
 * @returns undefined where the file cannot be read: deleted, or not ours to read
 */
export function isInFile(pid: number, mapping: Mapping, address: number, byte: number): boolean | undefined {
  const path = `/proc/${pid}/root${mapping.path}`;
  let descriptor: number | undefined;
  try {
    if (fileIdentity(path) !== mapping.identity) return undefined;
    descriptor = openSync(path, 'r');
    const read = Buffer.alloc(1);
    if (readSync(descriptor, read, 0, 1, mapping.offset + address - mapping.start) !== 1) return false;
    return read[0] === byte;
  } catch {
    return undefined;
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}
