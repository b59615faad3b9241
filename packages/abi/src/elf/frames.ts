/**
 * Which stretches of code belong together, from `.eh_frame`: what exception handling needs to know of each function, and
 * what stays in a file when its symbols are cut off. A function that the compiler split has a range for each part.
 * Format: Linux Standard Base, "Exception Frames".
 */

import { DwarfCursor, isPlain, OMITTED } from './dwarf-cursor.ts';
import type { ElfBytes } from './elf-bytes.ts';
import { ElfError } from './elf-error.ts';
import { type ElfFile, SECTION_TYPE } from './elf-file.ts';

/** Code from one address on, without a gap. */
export interface CodeRange {
  readonly address: bigint;
  readonly size: number;
  /** Where the table stands that says what exceptions in it lead to (see exception-tables.ts), if there is one that compilers write. */
  readonly exceptionTable: bigint | 'unknown' | undefined;
}

/** More than programs have; a file with more is refused. */
const FRAMES_MAX = 4_000_000;

/** What entries that refer to a common entry have. */
interface Encodings {
  /** Of addresses of code. */
  readonly code: number;
  /** Of the exception table's address, if they have one. */
  readonly table: number;
  /** Whether a size precedes what follows the code's range. */
  readonly hasSize: boolean;
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
  const encodings = new Map<number, Encodings | undefined>();
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
  encodings: Map<number, Encodings | undefined>,
  sectionAddress: bigint,
): CodeRange | undefined {
  const common = idAt - id;
  if (!encodings.has(common)) encodings.set(common, readEncodings(bytes, common));
  const encoding = encodings.get(common);
  if (encoding === undefined || !isPlain(encoding.code)) return undefined;
  const cursor = new DwarfCursor(bytes, idAt + 4);
  const address = cursor.address(encoding.code, sectionAddress);
  const size = cursor.number(encoding.code & 7);
  // A function that the linker left out has the address or the size 0.
  if (address === undefined || size === 0n || size > BigInt(Number.MAX_SAFE_INTEGER)) return undefined;
  const range = { address, size: Number(size) };
  if (encoding.table === OMITTED) return { ...range, exceptionTable: undefined };
  if (!isPlain(encoding.table)) return { ...range, exceptionTable: 'unknown' };
  if (encoding.hasSize) cursor.leb128();
  return { ...range, exceptionTable: cursor.address(encoding.table, sectionAddress) };
}

/** What the entries that refer to a common entry have; undefined if that cannot be read. */
function readEncodings(bytes: ElfBytes, start: number): Encodings | undefined {
  const isLong = bytes.u32(start) === 0xffff_ffff;
  const cursor = new DwarfCursor(bytes, start + (isLong ? 16 : 8));
  const version = cursor.u8();
  const augmentation = bytes.text(cursor.at);
  cursor.at += augmentation.length + 1;
  if (augmentation === '') return { code: 0, table: OMITTED, hasSize: false };
  if (!augmentation.startsWith('z')) return undefined;
  cursor.leb128(); // code alignment
  cursor.leb128(); // data alignment
  if (version === 1) cursor.u8();
  else cursor.leb128();
  cursor.leb128(); // the augmentation's size
  let [code, table] = [0, OMITTED];
  for (const letter of augmentation.slice(1)) {
    if (letter === 'R') code = cursor.u8();
    if (letter === 'L') table = cursor.u8();
    if (letter === 'P') cursor.number(cursor.u8());
  }
  return { code, table, hasSize: true };
}
