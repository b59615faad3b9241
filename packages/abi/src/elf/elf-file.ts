/**
 * An ElfFile holds the tables of one 64-bit little-endian x86-64 file: its sections and segments. It is read from
 * bytes that are kept, and never changes. Layouts: elf(5), and the System V ABI.
 */

import { ElfBytes } from './elf-bytes.ts';
import { ElfError } from './elf-error.ts';

const HEADER_SIZE = 64;
const SECTION_SIZE = 64;
const SEGMENT_SIZE = 56;
const MACHINE_X86_64 = 62;
/** An ELF header's number of sections or segments that stands elsewhere (SHN_XINDEX, PN_XNUM). */
const NUMBER_ELSEWHERE = 0xffff;
/** More than any linker makes; a file that has more is refused. */
const SECTIONS_MAX = 1_000_000;

/** `sh_type` of what is read here. */
export const SECTION_TYPE = {
  null: 0,
  symbolTable: 2,
  note: 7,
  noBits: 8,
  dynamicSymbols: 11,
} as const;

/** `p_type` of what is read here. */
export const SEGMENT_TYPE = { load: 1, note: 4 } as const;

export interface ElfSection {
  readonly name: string;
  readonly type: number;
  readonly flags: bigint;
  readonly address: bigint;
  readonly offset: number;
  readonly size: number;
  /** The number of a section that belongs to it: a symbol table's texts. */
  readonly companion: number;
}

export interface ElfSegment {
  readonly type: number;
  readonly flags: number;
  readonly offset: number;
  readonly address: bigint;
  readonly fileSize: number;
  readonly memorySize: bigint;
}

export class ElfFile {
  readonly #bytes: ElfBytes;
  readonly entry: bigint;
  readonly sections: readonly ElfSection[];
  readonly segments: readonly ElfSegment[];

  /**
   * @param bytes the whole file, which is kept and must not change
   * @throws {ElfError} if it is no ELF file for x86-64, or its tables lie outside of it
   */
  constructor(bytes: Uint8Array) {
    this.#bytes = new ElfBytes(bytes, 'the file');
    if (bytes.length < HEADER_SIZE || this.#bytes.u32(0) !== 0x464c457f)
      throw new ElfError('it does not begin as one');
    if (this.#bytes.u8(4) !== 2 || this.#bytes.u8(5) !== 1)
      throw new ElfError('it is not of 64 bits, little-endian');
    const machine = this.#bytes.u16(18);
    if (machine !== MACHINE_X86_64) throw new ElfError(`it is for machine ${machine}, not for x86-64`);
    this.entry = this.#bytes.u64(24);
    this.sections = this.#readSections();
    this.segments = this.#readSegments();
  }

  /** The first section of a name. */
  section(name: string): ElfSection | undefined {
    return this.sections.find((section) => section.name === name);
  }

  /**
   * What a section holds in the file.
   *
   * @throws {ElfError} if the file does not hold it
   */
  content(section: ElfSection): ElfBytes {
    const size = section.type === SECTION_TYPE.noBits ? 0 : section.size;
    return this.#bytes.part(section.offset, size, `section ${section.name}`);
  }

  /** What a segment holds in the file. */
  segmentContent({ offset, fileSize }: ElfSegment): ElfBytes {
    return this.#bytes.part(offset, fileSize, 'a segment');
  }

  /**
   * The file's own bytes of a stretch of its memory.
   *
   * @returns undefined where the file has not all of it
   */
  memory(address: bigint, length: number): Uint8Array | undefined {
    const segment = this.segments.find(
      (candidate) =>
        candidate.type === SEGMENT_TYPE.load &&
        address >= candidate.address &&
        address + BigInt(length) <= candidate.address + BigInt(candidate.fileSize),
    );
    if (segment === undefined) return undefined;
    const offset = segment.offset + Number(address - segment.address);
    return this.#bytes.part(offset, length, 'memory').raw();
  }

  #readSections(): ElfSection[] {
    const tableOffset = this.#bytes.count(40);
    if (tableOffset === 0) return [];
    this.#checkEntrySize('section', this.#bytes.u16(58), SECTION_SIZE);
    const first = this.#bytes.part(tableOffset, SECTION_SIZE, 'the section table');
    const short = { count: this.#bytes.u16(60), names: this.#bytes.u16(62) };
    const count = short.count === 0 ? first.count(32) : short.count;
    const namesIndex = short.names === NUMBER_ELSEWHERE ? first.u32(40) : short.names;
    if (count > SECTIONS_MAX) throw new ElfError(`it says to have ${count} sections`);
    const table = this.#bytes.part(tableOffset, count * SECTION_SIZE, 'the section table');
    const unnamed = Array.from({ length: count }, (_, index) => {
      const entry = table.part(index * SECTION_SIZE, SECTION_SIZE, 'the section table');
      return { nameOffset: entry.u32(0), section: readSection(entry) };
    });
    const names = unnamed[namesIndex]?.section;
    if (names === undefined || names.type === SECTION_TYPE.null) return unnamed.map(({ section }) => section);
    const texts = this.content(names);
    return unnamed.map(({ nameOffset, section }) => ({ ...section, name: texts.text(nameOffset) }));
  }

  #readSegments(): ElfSegment[] {
    const tableOffset = this.#bytes.count(32);
    const shortCount = this.#bytes.u16(56);
    if (tableOffset === 0 || shortCount === 0) return [];
    this.#checkEntrySize('segment', this.#bytes.u16(54), SEGMENT_SIZE);
    // The real number is the first section's sh_info.
    const count =
      shortCount === NUMBER_ELSEWHERE
        ? this.#bytes.part(this.#bytes.count(40), SECTION_SIZE, 'the section table').u32(44)
        : shortCount;
    if (count > SECTIONS_MAX) throw new ElfError(`it says to have ${count} segments`);
    const table = this.#bytes.part(tableOffset, count * SEGMENT_SIZE, 'the segment table');
    return Array.from({ length: count }, (_, index) =>
      readSegment(table.part(index * SEGMENT_SIZE, SEGMENT_SIZE, 'the segment table')),
    );
  }

  #checkEntrySize(what: string, size: number, expected: number): void {
    if (size !== expected)
      throw new ElfError(`an entry of its ${what} table has ${size} bytes, not ${expected}`);
  }
}

function readSection(entry: ElfBytes): ElfSection {
  return {
    name: '',
    type: entry.u32(4),
    flags: entry.u64(8),
    address: entry.u64(16),
    offset: entry.count(24),
    size: entry.count(32),
    companion: entry.u32(40),
  };
}

function readSegment(entry: ElfBytes): ElfSegment {
  return {
    type: entry.u32(0),
    flags: entry.u32(4),
    offset: entry.count(8),
    address: entry.u64(16),
    fileSize: entry.count(32),
    memorySize: entry.u64(40),
  };
}

/**
 * Where the file has what will stand at an address, by its loaded segments.
 *
 * @param address as the file counts them, before it is moved to where it is loaded
 * @returns the offset in the file, or undefined if nothing of the file stands there
 */
export function fileOffsetOf(file: Pick<ElfFile, 'segments'>, address: bigint): bigint | undefined {
  const segment = file.segments.find(
    (candidate) =>
      candidate.type === SEGMENT_TYPE.load &&
      address >= candidate.address &&
      address < candidate.address + BigInt(candidate.fileSize),
  );
  return segment === undefined ? undefined : address - segment.address + BigInt(segment.offset);
}

/**
 * At which address a byte of the file will stand.
 *
 * @returns undefined if no segment loads it
 */
export function addressOf(file: Pick<ElfFile, 'segments'>, offset: bigint): bigint | undefined {
  const segment = file.segments.find(
    (candidate) =>
      candidate.type === SEGMENT_TYPE.load &&
      offset >= BigInt(candidate.offset) &&
      offset < BigInt(candidate.offset) + BigInt(candidate.fileSize),
  );
  return segment === undefined ? undefined : offset - BigInt(segment.offset) + segment.address;
}
