/** The auxiliary vector that the kernel gave a program at its start (getauxval(3)). */

import { readFileSync } from 'node:fs';

/** Types of its entries. */
export const AUXILIARY = {
  /** The program's headers. */
  headers: 3n,
  /** The dynamic loader; 0 without one. */
  loader: 7n,
  /** Where the program begins. */
  entry: 9n,
  /** What else the processor and the kernel can do (AT_HWCAP2). */
  capabilities: 26n,
} as const;

const ENTRY_BYTES = 16;

/**
 * @param pid of a process that lives
 * @returns values by their types
 * @throws {Error} ENOENT or ESRCH when it is gone
 */
export function auxiliaryVector(pid: number): Map<bigint, bigint> {
  const vector = readFileSync(`/proc/${pid}/auxv`);
  const values = new Map<bigint, bigint>();
  for (let at = 0; at + ENTRY_BYTES <= vector.length; at += ENTRY_BYTES)
    values.set(vector.readBigUInt64LE(at), vector.readBigUInt64LE(at + 8));
  return values;
}
