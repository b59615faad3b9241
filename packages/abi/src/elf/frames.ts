/**
 * Which stretches of code belong together, from `.eh_frame`: what exception handling needs to know of each function, and
 * what stays in a file when its symbols are cut off. A function that the compiler split has a range for each part.
 * Format: Linux Standard Base, "Exception Frames".
 */

import type { ElfBytes } from './elf-bytes.ts';
import { ElfError } from './elf-error.ts';
import { type ElfFile, SECTION_TYPE } from './elf-file.ts';

/** Code from one address on, without a gap. */
export interface CodeRange {
  readonly address: bigint;
  readonly size: number;
}

/** Bytes of a pointer by the low four bits of its encoding (DW_EH_PE_*). */
const POINTER_SIZES: Readonly<Record<number, 2 | 4 | 8>> = { 0: 8, 2: 2, 3: 4, 4: 8, 10: 2, 11: 4, 12: 8 };
const RELATIVE_TO_ITSELF = 0x10;
const OMITTED = 0xff;
/** More than programs have; a file with more is refused. */
const FRAMES_MAX = 4_000_000;

/** Reads numbers one behind the other. */
class Cursor {
  readonly #bytes: ElfBytes;
  at: number;

  constructor(bytes: ElfBytes, at: number) {
    this.#bytes = bytes;
    this.at = at;
  }

  u8(): number {
    return this.#bytes.u8(this.at++);
  }

  /** The value of an unsigned LEB128 number, which here is never large. */
  leb128(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.u8();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new ElfError('a number in .eh_frame is too long');
  }

  /** A number of an encoding's size; negative where the encoding is signed. */
  pointer(encoding: number): bigint {
    const size = POINTER_SIZES[encoding & 15];
    if (size === undefined) throw new ElfError(`a pointer in .eh_frame is encoded as ${encoding}`);
    const value =
      size === 8
        ? this.#bytes.u64(this.at)
        : BigInt(size === 4 ? this.#bytes.u32(this.at) : this.#bytes.u16(this.at));
    this.at += size;
    return (encoding & 8) === 0 ? value : BigInt.asIntN(size * 8, value);
  }
}

/**
 * The ranges of a file's `.eh_frame`, in its order. Entries in an encoding that compilers do not use are left out.
 *
 * @throws {ElfError} if the section lies about itself
 */
export function elfCodeRanges(file: ElfFile): CodeRange[] {
  const section = file.section('.eh_frame');
  if (section === undefined || section.type === SECTION_TYPE.noBits) return [];
  const bytes = file.content(section);
  const encodings = new Map<number, number | undefined>();
  const ranges: CodeRange[] = [];
  let at = 0;
  for (let count = 0; at + 8 <= bytes.length; count++) {
    if (count > FRAMES_MAX) throw new ElfError('.eh_frame has too many entries');
    const shortLength = bytes.u32(at);
    if (shortLength === 0) {
      // Linkers put ends between parts.
      at += 4;
      continue;
    }
    const isLong = shortLength === 0xffff_ffff;
    const idAt = at + (isLong ? 12 : 4);
    const end = idAt + (isLong ? bytes.count(at + 4) : shortLength);
    const id = bytes.u32(idAt);
    if (id !== 0) {
      const range = readRange(bytes, idAt, id, encodings, section.address);
      if (range !== undefined) ranges.push(range);
    }
    at = end;
  }
  return ranges;
}

function readRange(
  bytes: ElfBytes,
  idAt: number,
  id: number,
  encodings: Map<number, number | undefined>,
  sectionAddress: bigint,
): CodeRange | undefined {
  const common = idAt - id;
  if (!encodings.has(common)) encodings.set(common, readEncoding(bytes, common));
  const encoding = encodings.get(common);
  const application = (encoding ?? OMITTED) & 0xf0;
  if (encoding === undefined || (application !== 0 && application !== RELATIVE_TO_ITSELF)) return undefined;
  const cursor = new Cursor(bytes, idAt + 4);
  const base = application === 0 ? 0n : sectionAddress + BigInt(cursor.at);
  const address = BigInt.asUintN(64, base + cursor.pointer(encoding));
  const size = cursor.pointer(encoding & 7);
  // A function that the linker left out has the address or the size 0.
  return size === 0n || size > BigInt(Number.MAX_SAFE_INTEGER) ? undefined : { address, size: Number(size) };
}

/** How the entries that refer to a common entry tell addresses; undefined if that cannot be read. */
function readEncoding(bytes: ElfBytes, start: number): number | undefined {
  const isLong = bytes.u32(start) === 0xffff_ffff;
  const cursor = new Cursor(bytes, start + (isLong ? 16 : 8));
  const version = cursor.u8();
  const augmentation = bytes.text(cursor.at);
  cursor.at += augmentation.length + 1;
  if (augmentation === '') return 0;
  if (!augmentation.startsWith('z')) return undefined;
  cursor.leb128(); // code alignment
  cursor.leb128(); // data alignment
  if (version === 1) cursor.u8();
  else cursor.leb128();
  cursor.leb128(); // the augmentation's size
  for (const letter of augmentation.slice(1)) {
    if (letter === 'R') return cursor.u8();
    if (letter === 'L') cursor.u8();
    if (letter === 'P') cursor.pointer(cursor.u8());
  }
  return 0;
}
