/** The compressions that trace-cmd offers for version 7 files, as far as this Node has them. */

import * as zlib from 'node:zlib';
import { damaged } from './file-cursor.ts';
import { TraceDatError } from './trace-dat-error.ts';

/**
 * Undoes a compression.
 *
 * @param size bytes of the result
 * @throws {TraceDatError} when the bytes are damaged
 */
export type Decompress = (bytes: Uint8Array, size: number) => Uint8Array;

type Inflate = (bytes: Uint8Array, options: { maxOutputLength: number }) => Uint8Array;

/**
 * The inverse of a compression.
 *
 * @param name as in the file's header, such as `zlib` or `zstd`
 * @throws {TraceDatError} when it is unknown, or when this Node does not have it
 */
export function decompressor(name: string): Decompress {
  const inflate = inflateOf(name);
  return (bytes, size) => {
    let result: Uint8Array;
    try {
      result = inflate(bytes, { maxOutputLength: Math.max(size, 1) });
    } catch {
      throw damaged(`a part that is no ${name}`);
    }
    if (result.length !== size) throw damaged(`a part with ${result.length} bytes instead of ${size}`);
    return result;
  };
}

function inflateOf(name: string): Inflate {
  if (name === 'zlib') return zlib.inflateSync;
  // Node has it from 22.15 on; the types are of the oldest Node that is served.
  const { zstdDecompressSync } = zlib as { zstdDecompressSync?: Inflate };
  if (name === 'zstd' && zstdDecompressSync !== undefined) return zstdDecompressSync;
  const remedy = 'make a version 6 file of it with `trace-cmd convert --file-version 6`';
  throw new TraceDatError(
    name === 'zstd'
      ? `Cannot read the trace: Node ${process.versions.node} has no zstd; use Node 22.15 or later, or ${remedy}`
      : `Cannot read the trace: its compression "${name}" is unknown; ${remedy}`,
  );
}
