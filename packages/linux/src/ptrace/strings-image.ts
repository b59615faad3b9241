import { bytesOf, type ProgramText } from './program-text.ts';

/** Strings and arrays of pointers to them, laid out for memory at a known address: another process's, or ours. */
export class StringsImage {
  /** To be written there. */
  readonly bytes: Buffer;
  readonly #base: bigint;
  #used = 0;

  /**
   * @param base the address that the first byte will have there; a multiple of 8
   * @param bytes zeros, as many as there is room for
   */
  constructor(base: bigint, bytes: Buffer) {
    this.#base = base;
    this.bytes = bytes;
  }

  /** Adds bytes, aligned to 8; returns their address there. */
  put(content: Uint8Array): bigint {
    const at = this.#used;
    this.bytes.set(content, at);
    this.#used = (at + content.length + 7) & ~7;
    return this.#base + BigInt(at);
  }

  /** Adds a string with its zero byte. */
  putString(text: ProgramText): bigint {
    return this.put(Buffer.concat([bytesOf(text), Buffer.alloc(1)]));
  }

  /** Adds an array of pointers with its null pointer. */
  putPointers(pointers: readonly bigint[]): bigint {
    return this.put(new Uint8Array(BigUint64Array.from([...pointers, 0n]).buffer));
  }

  /** The bytes from an address on. */
  at(address: bigint): Buffer {
    return this.bytes.subarray(Number(address - this.#base));
  }
}
