/**
 * ElfBytes: a stretch of a file's bytes, little-endian, in which no read goes past the end. Every structure of a
 * file is read through one, so that no count or offset in the file is ever trusted.
 */

import { ElfError } from './elf-error.ts';

export class ElfBytes {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  /** What these bytes are, for messages: `the symbol table`. */
  readonly #what: string;

  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#what = what;
  }

  get length(): number {
    return this.#bytes.length;
  }

  u8(offset: number): number {
    return this.#view.getUint8(this.#checked(offset, 1));
  }

  u16(offset: number): number {
    return this.#view.getUint16(this.#checked(offset, 2), true);
  }

  u32(offset: number): number {
    return this.#view.getUint32(this.#checked(offset, 4), true);
  }

  u64(offset: number): bigint {
    return this.#view.getBigUint64(this.#checked(offset, 8), true);
  }

  /** A 64-bit number that counts bytes of a file or entries of a table: one over 2^53 is a lie. */
  count(offset: number): number {
    const value = this.u64(offset);
    if (value > BigInt(Number.MAX_SAFE_INTEGER))
      throw new ElfError(`${this.#what} names the size or offset ${value}`);
    return Number(value);
  }

  /**
   * A part of these bytes.
   *
   * @throws {ElfError} if they do not hold all of it
   */
  part(offset: number, length: number, what: string): ElfBytes {
    if (offset < 0 || length < 0 || offset + length > this.#bytes.length) {
      throw new ElfError(`${what} (${length} bytes at ${offset}) goes beyond ${this.#what}`);
    }
    return new ElfBytes(this.#bytes.subarray(offset, offset + length), what);
  }

  /**
   * The text at an offset, up to its end mark, one character a byte.
   *
   * @throws {ElfError} if it has no end
   */
  text(offset: number): string {
    this.#checked(offset, 1);
    const end = this.#bytes.indexOf(0, offset);
    if (end < 0) throw new ElfError(`a text in ${this.#what} has no end`);
    return Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset + offset, end - offset).toString('latin1');
  }

  /** The bytes themselves, not a copy. */
  raw(): Uint8Array {
    return this.#bytes;
  }

  #checked(offset: number, size: number): number {
    if (offset < 0 || offset + size > this.#bytes.length) throw new ElfError(`${this.#what} ends too early`);
    return offset;
  }
}
