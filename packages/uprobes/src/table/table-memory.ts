/**
 * The memory of a probe table, shared by the thread that writes it and the threads that look probes up. It begins with words
 * (32 bits, always accessed atomically): one line of the processor's cache for each reader, then one for each address space.
 * Behind them are cells (64-bit floating point, which hold addresses exactly up to 2^53), in which the tables of the address
 * spaces stand. A cell is written only while no reader can be in its table; so cells need no atomic access.
 *
 *   reader line   PINNED: the cell where the table begins in which the reader is, 0 for none
 *   space line    SEQUENCE: how often a table was published; PLACE + (sequence & 1): the cell where the latest begins, or 0
 *
 * The place for the following sequence is written first, then the sequence: whoever reads the same sequence before and after the
 * place has the table that belongs to it.
 */

/** Threads that may look up at the same time. */
export const READERS_MAX = 16;

/** Address spaces that may have tables at the same time. */
export const SPACES_MAX = 1024;

const LINE_WORDS = 16;
const WORD_BYTES = 4;
const CELL_BYTES = 8;
const SPACE_LINES = READERS_MAX;
const WORDS = (SPACE_LINES + SPACES_MAX) * LINE_WORDS;

/** 32 MiB, of which the system provides what was written. */
const DEFAULT_CELLS = 2 ** 22;

/** The word in which a reader says which table it is in. */
export function pinnedWord(reader: number): number {
  return reader * LINE_WORDS;
}

/** The word with an address space's sequence; its two places follow. */
export function sequenceWord(space: number): number {
  // Identities count up in steps of SPACES_MAX; their low bits say which line it is.
  return (SPACE_LINES + (space & (SPACES_MAX - 1))) * LINE_WORDS;
}

/** The word with the place of a sequence's table. */
export function placeWord(space: number, sequence: number): number {
  return sequenceWord(space) + 1 + (sequence & 1);
}

/** What a reader does to the memory. */
export interface ReadingMemory {
  loadWord(word: number): number;
  storeWord(word: number, value: number): void;
  readCell(cell: number): number;
}

/** What the writer does to it. */
export interface WritingMemory extends ReadingMemory {
  writeCell(cell: number, value: number): void;
  /** Cells there are; the first is not used. */
  readonly cellCount: number;
}

/** Shared memory. */
export class SharedTableMemory implements WritingMemory {
  /** To be handed to other threads. */
  readonly buffer: SharedArrayBuffer;
  readonly cellCount: number;
  readonly #words: Int32Array;
  readonly #cells: Float64Array;

  /** @param buffer of another SharedTableMemory's `buffer` */
  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer, 0, WORDS);
    this.#cells = new Float64Array(buffer, WORDS * WORD_BYTES);
    this.cellCount = this.#cells.length;
  }

  /**
   * Memory with no tables.
   *
   * @param cells how many of 8 bytes; 32 MiB of them if left out
   */
  static create(cells: number = DEFAULT_CELLS): SharedTableMemory {
    return new SharedTableMemory(new SharedArrayBuffer(WORDS * WORD_BYTES + cells * CELL_BYTES));
  }

  loadWord(word: number): number {
    return Atomics.load(this.#words, word);
  }

  storeWord(word: number, value: number): void {
    Atomics.store(this.#words, word, value);
  }

  readCell(cell: number): number {
    return this.#cells[cell] ?? 0;
  }

  writeCell(cell: number, value: number): void {
    this.#cells[cell] = value;
  }
}
