/** Strings and arrays of pointers to them, laid out for another process's memory at a known address. */
export class StringsImage {
  /** To be written there. */
  readonly bytes: Buffer;
  readonly #base: bigint;
  #used = 0;

  /**
   * @param base the address that the first byte will have there; a multiple of 8
   * @param size bytes in all
   */
  constructor(base: bigint, size: number) {
    this.#base = base;
    this.bytes = Buffer.alloc(size);
  }

  /** Adds bytes, aligned to 8; returns their address there. */
  put(content: Uint8Array): bigint {
    const at = this.#used;
    this.bytes.set(content, at);
    this.#used = (at + content.length + 7) & ~7;
    return this.#base + BigInt(at);
  }

  /** Adds a string with its zero byte. */
  putString(text: string): bigint {
    return this.put(Buffer.from(`${text}\0`));
  }

  /** Adds an array of pointers with its null pointer. */
  putPointers(pointers: readonly bigint[]): bigint {
    return this.put(new Uint8Array(BigUint64Array.from([...pointers, 0n]).buffer));
  }
}
