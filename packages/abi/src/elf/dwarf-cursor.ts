/** Reads the numbers of exception handling's sections one behind the other: LEB128, and pointers in DW_EH_PE_* encodings. */

import type { ElfBytes } from './elf-bytes.ts';
import { ElfError } from './elf-error.ts';

/** An encoding that says: there is no pointer (DW_EH_PE_omit). */
export const OMITTED = 0xff;
/** The pointer counts from where it stands (DW_EH_PE_pcrel). */
const RELATIVE_TO_ITSELF = 0x10;
/** Bytes of a pointer by the low four bits of its encoding. */
const POINTER_SIZES: Readonly<Record<number, 2 | 4 | 8>> = { 0: 8, 2: 2, 3: 4, 4: 8, 10: 2, 11: 4, 12: 8 };
const LEB128 = 1;

/** Whether an encoded address counts from nowhere or from itself, as compilers write. */
export function isPlain(encoding: number): boolean {
  const application = encoding & 0xf0;
  return application === 0 || application === RELATIVE_TO_ITSELF;
}

/** A place in bytes from which reading goes on. */
export class DwarfCursor {
  readonly #bytes: ElfBytes;
  at: number;

  constructor(bytes: ElfBytes, at: number) {
    this.#bytes = bytes;
    this.at = at;
  }

  u8(): number {
    return this.#bytes.u8(this.at++);
  }

  /**
   * The value of an unsigned LEB128 number.
   *
   * @throws {ElfError} if it has more than 35 bits, which none here has
   */
  leb128(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.u8();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new ElfError('a number of exception handling is too long');
  }

  /**
   * A number of an encoding's form, as it stands there; negative where the encoding is signed.
   *
   * @throws {ElfError} for an encoding that compilers do not use
   */
  number(encoding: number): bigint {
    const form = encoding & 15;
    if (form === LEB128) return BigInt(this.leb128());
    const size = POINTER_SIZES[form];
    if (size === undefined) throw new ElfError(`a pointer of exception handling is encoded as ${encoding}`);
    const value =
      size === 8
        ? this.#bytes.u64(this.at)
        : BigInt(size === 4 ? this.#bytes.u32(this.at) : this.#bytes.u16(this.at));
    this.at += size;
    return (encoding & 8) === 0 ? value : BigInt.asIntN(size * 8, value);
  }

  /**
   * An address.
   *
   * @param start where these bytes stand
   * @returns undefined for 0 as it stands there, which means that there is none
   * @throws {ElfError} as `number`
   */
  address(encoding: number, start: bigint): bigint | undefined {
    if (!isPlain(encoding)) throw new ElfError(`an address of exception handling is encoded as ${encoding}`);
    const base = (encoding & RELATIVE_TO_ITSELF) === 0 ? 0n : start + BigInt(this.at);
    const value = this.number(encoding);
    return value === 0n ? undefined : BigInt.asUintN(64, base + value);
  }
}
