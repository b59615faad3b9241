/** One event's bytes with its fields' values. What lies outside of the entry reads as zero or as nothing. */

import type { FormatField } from './event-format.ts';

const NOTHING = new Uint8Array(0);

export class EntryView {
  #bytes: Uint8Array = NOTHING;
  #view: DataView = new DataView(NOTHING.buffer);

  /** Views another entry. */
  set(bytes: Uint8Array): void {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** A number as trace-cmd takes it: never signed; 0 for sizes that no number has. */
  unsigned({ offset, size }: FormatField): number | bigint {
    if (offset + size > this.#bytes.length) return 0;
    if (size === 4) return this.#view.getUint32(offset, true);
    if (size === 8) return this.#view.getBigUint64(offset, true);
    if (size === 2) return this.#view.getUint16(offset, true);
    return size === 1 ? this.#view.getUint8(offset) : 0;
  }

  /** A number with its sign. */
  signed({ offset, size }: FormatField): number | bigint {
    if (offset + size > this.#bytes.length) return 0;
    if (size === 4) return this.#view.getInt32(offset, true);
    if (size === 8) return this.#view.getBigInt64(offset, true);
    if (size === 2) return this.#view.getInt16(offset, true);
    return size === 1 ? this.#view.getInt8(offset) : 0;
  }

  /** The bytes of a field's value, wherever they are in the entry. */
  bytes({ offset, size, location, isArray }: FormatField): Uint8Array {
    // An array without a size, such as the text of `print`, goes on to the entry's end.
    const end = isArray && size === 0 ? this.#bytes.length : offset + size;
    if (location === 'inline') return this.#bytes.subarray(offset, end);
    if (offset + 4 > this.#bytes.length) return NOTHING;
    const base = location === 'relative' ? offset + 4 : 0;
    const start = base + this.#view.getUint16(offset, true);
    return this.#bytes.subarray(start, start + this.#view.getUint16(offset + 2, true));
  }

  /** The text of a field's value up to its NUL, one byte a character. */
  text(field: FormatField): string {
    const bytes = this.bytes(field);
    const end = bytes.indexOf(0);
    return latin1(end < 0 ? bytes : bytes.subarray(0, end));
  }
}

/** Bytes as a text of one byte a character. */
export function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}
