/** Bytes that grow: little-endian numbers and texts one behind another. */

const FIRST_CAPACITY = 1024;

export class ByteBuilder {
  #bytes = new Uint8Array(FIRST_CAPACITY);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  /** How many bytes there are. */
  get length(): number {
    return this.#length;
  }

  u8(value: number): this {
    const start = this.#room(1);
    this.#view.setUint8(start, value);
    return this;
  }

  u16(value: number): this {
    const start = this.#room(2);
    this.#view.setUint16(start, value, true);
    return this;
  }

  u32(value: number): this {
    const start = this.#room(4);
    this.#view.setUint32(start, value, true);
    return this;
  }

  u64(value: number | bigint): this {
    const start = this.#room(8);
    this.#view.setBigUint64(start, BigInt(value), true);
    return this;
  }

  /** @param text one byte a character (latin1); no NUL is added */
  text(text: string): this {
    return this.bytes(Buffer.from(text, 'latin1'));
  }

  bytes(bytes: Uint8Array): this {
    const start = this.#room(bytes.length);
    this.#bytes.set(bytes, start);
    return this;
  }

  /** The bytes so far: a view that the following call may abandon. */
  built(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  #room(size: number): number {
    const start = this.#length;
    this.#length += size;
    if (this.#length > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(this.#length, 2 * this.#bytes.length));
      grown.set(this.#bytes);
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    return start;
  }
}
