/**
 * Reads numbers and texts of a file one behind another. It reads ahead a little, never beyond its end, and refuses
 * what does not lie inside: whatever a file says, no more memory is taken than its bounds allow.
 */

import type { ReadableFile } from '../file-port.ts';
import { TraceDatError } from './trace-dat-error.ts';

const READ_AHEAD = 16_384;
const EMPTY = new Uint8Array(0);

export class FileCursor {
  readonly #file: ReadableFile;
  /** Where the following byte is, from the file's start. */
  #position: number;
  readonly #end: number;
  #ahead: Uint8Array = EMPTY;
  #aheadStart = 0;

  /**
   * @param file what to read
   * @param position where to begin
   * @param end where to stop; the file's end stops it before
   */
  constructor(file: ReadableFile, position: number, end: number = Number.MAX_SAFE_INTEGER) {
    this.#file = file;
    this.#position = position;
    this.#end = Math.min(end, file.size());
  }

  /** How many bytes are left. */
  get left(): number {
    return Math.max(0, this.#end - this.#position);
  }

  u8(): number {
    return this.#view(1).getUint8(0);
  }

  u16(): number {
    return this.#view(2).getUint16(0, true);
  }

  u32(): number {
    return this.#view(4).getUint32(0, true);
  }

  u64(): bigint {
    return this.#view(8).getBigUint64(0, true);
  }

  /** A u64 that counts bytes. @throws {TraceDatError} when it cannot */
  size(): number {
    const value = this.u64();
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw damaged(`a size of ${value} bytes`);
    return Number(value);
  }

  /**
   * Bytes as they are.
   *
   * @param what names them in an error
   * @param max how many there may be
   */
  bytes(size: number, what: string, max: number): Uint8Array {
    if (size > max) throw damaged(`${what} of ${size} bytes`);
    if (size > this.left) throw endsEarly(what);
    if (size <= READ_AHEAD) return this.#take(size).slice();
    const bytes = new Uint8Array(size);
    if (this.#file.read(this.#position, bytes) < size) throw endsEarly(what);
    this.#position += size;
    return bytes;
  }

  /** Bytes as a text of one byte a character. */
  text(size: number, what: string, max: number): string {
    return Buffer.from(this.bytes(size, what, max).buffer).toString('latin1');
  }

  /** A text up to its NUL, which is passed, too. */
  cString(what: string, max: number): string {
    let text = '';
    while (text.length <= max) {
      const byte = this.u8();
      if (byte === 0) return text;
      text += String.fromCharCode(byte);
    }
    throw damaged(`${what} of more than ${max} bytes`);
  }

  /** Passes bytes by. */
  skip(size: number, what: string): void {
    if (size > this.left) throw endsEarly(what);
    this.#position += size;
  }

  #view(size: number): DataView {
    const bytes = this.#take(size);
    return new DataView(bytes.buffer, bytes.byteOffset, size);
  }

  #take(size: number): Uint8Array {
    const start = this.#position - this.#aheadStart;
    if (start < 0 || start + size > this.#ahead.length) this.#fill(size);
    const from = this.#position - this.#aheadStart;
    this.#position += size;
    return this.#ahead.subarray(from, from + size);
  }

  #fill(size: number): void {
    if (size > this.left) throw endsEarly('it');
    const ahead = new Uint8Array(Math.min(Math.max(READ_AHEAD, size), this.left));
    const count = this.#file.read(this.#position, ahead);
    if (count < size) throw endsEarly('it');
    this.#ahead = ahead.subarray(0, count);
    this.#aheadStart = this.#position;
  }
}

/** The error for a part that makes no sense. */
export function damaged(what: string): TraceDatError {
  return new TraceDatError(`Cannot read the trace: it is damaged, it has ${what}`);
}

function endsEarly(what: string): TraceDatError {
  return new TraceDatError(`Cannot read the trace: the file ends inside ${what}`);
}
