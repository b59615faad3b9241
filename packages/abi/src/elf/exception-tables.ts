/**
 * Where exceptions lead to: the landing pads in the tables that C++, Rust and C's cleanup attribute have (`.gcc_except_table`). Nothing
 * branches there; the unwinder sets the instruction pointer. Format: Itanium C++ ABI, "Exception Handling Tables".
 */

import { DwarfCursor, OMITTED } from './dwarf-cursor.ts';
import { ElfError } from './elf-error.ts';
import { type ElfFile, SEGMENT_TYPE } from './elf-file.ts';
import type { CodeRange } from './frames.ts';

/** The landing pads of a file. */
export interface LandingPads {
  /** Rising, none twice. */
  readonly addresses: readonly number[];
  /** Code whose table cannot be read: a pad may be anywhere in it. */
  readonly unknown: readonly CodeRange[];
}

/**
 * Reads all exception tables of a file.
 *
 * @param ranges the file's (elfCodeRanges())
 */
export function elfLandingPads(file: ElfFile, ranges: readonly CodeRange[]): LandingPads {
  const addresses = new Set<number>();
  const unknown: CodeRange[] = [];
  for (const range of ranges) {
    if (range.exceptionTable === undefined) continue;
    try {
      for (const pad of padsOf(file, range, range.exceptionTable)) addresses.add(pad);
    } catch (error) {
      if (!(error instanceof ElfError)) throw error;
      unknown.push(range);
    }
  }
  return { addresses: [...addresses].toSorted((one, other) => one - other), unknown };
}

function padsOf(file: ElfFile, range: CodeRange, table: bigint | 'unknown'): number[] {
  if (table === 'unknown') throw new ElfError('an exception table is told in a way that is not known');
  const segment = file.segments.find(
    ({ type, address, fileSize }) =>
      type === SEGMENT_TYPE.load && table >= address && table < address + BigInt(fileSize),
  );
  if (segment === undefined) throw new ElfError('an exception table is not in the file');
  const bytes = file.segmentContent(segment);
  const cursor = new DwarfCursor(bytes, Number(table - segment.address));
  const startEncoding = cursor.u8();
  const start =
    startEncoding === OMITTED ? range.address : (cursor.address(startEncoding, segment.address) ?? 0n);
  if (cursor.u8() !== OMITTED) cursor.leb128(); // where the types end
  const encoding = cursor.u8();
  const size = cursor.leb128();
  const end = cursor.at + size;
  const pads: number[] = [];
  while (cursor.at < end) {
    cursor.number(encoding); // the calls' first address
    cursor.number(encoding); // their bytes
    const pad = cursor.number(encoding);
    cursor.leb128(); // what is done there
    if (pad !== 0n) pads.push(Number(BigInt.asUintN(64, start + pad)));
  }
  return pads;
}
