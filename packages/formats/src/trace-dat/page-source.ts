/** The pages of one lane, wherever they are: in the file as they are, or in compressed chunks. */

import type { ReadableFile } from '../file-port.ts';
import type { Decompress } from './compression.ts';
import type { LanePlace } from './description.ts';
import { damaged, FileCursor } from './file-cursor.ts';

/** Pages of a lane, read from the first to the last. */
export interface PageSource {
  /**
   * Reads the following page.
   *
   * @param target as long as a page
   * @returns whether there was one, whole
   */
  read(target: Uint8Array): boolean;
}

/** Pages that lie in the file one behind another. */
export class PlainPages implements PageSource {
  readonly #file: ReadableFile;
  #position: number;
  readonly #end: number;

  constructor(file: ReadableFile, { offset, size }: LanePlace) {
    this.#file = file;
    this.#position = offset;
    this.#end = offset + size;
  }

  read(target: Uint8Array): boolean {
    if (this.#position + target.length > this.#end) return false;
    const isWhole = this.#file.read(this.#position, target) === target.length;
    this.#position += target.length;
    return isWhole;
  }
}

/** A chunk that is larger than this is damaged; trace-cmd makes chunks of ten pages. */
const CHUNK_MAX = 64 << 20;
const CHUNK_HEADER_SIZE = 8;

/** Pages in compressed chunks; one chunk is in memory. */
export class CompressedPages implements PageSource {
  readonly #cursor: FileCursor;
  readonly #decompress: Decompress;
  #chunksLeft: number;
  #chunk: Uint8Array = new Uint8Array(0);
  #position = 0;

  constructor(file: ReadableFile, { offset, size }: LanePlace, decompress: Decompress) {
    this.#decompress = decompress;
    this.#cursor = new FileCursor(file, offset, offset + size);
    this.#chunksLeft = size < 4 ? 0 : this.#cursor.u32();
  }

  read(target: Uint8Array): boolean {
    while (this.#position + target.length > this.#chunk.length) {
      if (this.#chunksLeft === 0 || this.#cursor.left < CHUNK_HEADER_SIZE) return false;
      this.#chunksLeft -= 1;
      const compressedSize = this.#cursor.u32();
      const size = this.#cursor.u32();
      if (size > CHUNK_MAX) throw damaged(`a chunk of ${size} bytes`);
      this.#chunk = this.#decompress(this.#cursor.bytes(compressedSize, 'a chunk', CHUNK_MAX), size);
      this.#position = 0;
    }
    target.set(this.#chunk.subarray(this.#position, this.#position + target.length));
    this.#position += target.length;
    return true;
  }
}
