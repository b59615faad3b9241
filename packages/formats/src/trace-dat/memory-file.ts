/** Bytes in memory, to be read like a file. */

import type { ReadableFile } from '../file-port.ts';

/** @param bytes must not change while they are read */
export function memoryFile(bytes: Uint8Array): ReadableFile {
  return {
    size: () => bytes.length,
    read: (position, target) => {
      const part = bytes.subarray(position, position + target.length);
      target.set(part);
      return part.length;
    },
    close: () => undefined,
  };
}
