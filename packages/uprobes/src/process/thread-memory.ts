/** Memory of a stopped thread that may not be there. */

import { ErrnoError } from '@usertrace/base';
import type { Examination } from '@usertrace/utrace';

/** @returns the bytes, fewer where memory ends; undefined if there are none */
export function readIfThere(look: Examination, address: bigint, size: number): Uint8Array | undefined {
  try {
    return look.read(address, size);
  } catch (error) {
    if (error instanceof ErrnoError && (error.code === 'EFAULT' || error.code === 'EIO')) return undefined;
    throw error;
  }
}
