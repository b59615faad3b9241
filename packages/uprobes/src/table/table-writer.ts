/**
 * Publishes the tables of address spaces. One thread has it: the one that follows mappings. A change writes a whole new table into
 * free cells and then says so in two stores, so readers are never held up, and it waits for none. The table before it is retired,
 * and its cells are free again when no reader has it pinned: each reader has one at most.
 */

import { assert, ErrnoError } from '@usertrace/base';
import { CellExtents } from './cell-extents.ts';
import {
  type FileMapping,
  type FileProbe,
  HEADER,
  MAPPING,
  MAPPINGS_MAX,
  PROBE,
  PROBES_MAX,
} from './table-layout.ts';
import {
  pinnedWord,
  placeWord,
  READERS_MAX,
  sequenceWord,
  SPACES_MAX,
  type WritingMemory,
} from './table-memory.ts';

/** The writer of a probe table. */
export class TableWriter {
  readonly #memory: WritingMemory;
  readonly #extents: CellExtents;
  /** Tables that are not the latest, and that a reader may still be in. */
  #retired: number[] = [];
  readonly #readers = new Set<number>();
  readonly #spaces = new Set<number>();
  /** How often each line was an address space's. */
  readonly #uses = new Map<number, number>();

  /** @param memory nobody else writes it */
  constructor(memory: WritingMemory) {
    this.#memory = memory;
    this.#extents = new CellExtents(memory.cellCount);
  }

  /** Cells that tables take, retired ones that a reader is in among them. */
  get usedCells(): number {
    return this.#extents.used;
  }

  /**
   * Makes room for one more thread that looks up.
   *
   * @returns its number, for TableReader
   * @throws {ErrnoError} EMFILE when there are READERS_MAX
   */
  addReader(): number {
    for (let reader = 0; reader < READERS_MAX; reader++) {
      if (this.#readers.has(reader)) continue;
      this.#readers.add(reader);
      return reader;
    }
    throw new ErrnoError('EMFILE', `Cannot add a reader: ${READERS_MAX} threads look up already`);
  }

  /** @param reader of a thread that has ended, perhaps in the middle of a lookup, or will look up no more */
  removeReader(reader: number): void {
    this.#readers.delete(reader);
    this.#memory.storeWord(pinnedWord(reader), 0);
  }

  /**
   * An address space without mappings.
   *
   * @returns what lookups name it by; no other ever has the same
   * @throws {ErrnoError} EMFILE when there are SPACES_MAX
   */
  openSpace(): number {
    for (let line = 0; line < SPACES_MAX; line++) {
      const uses = this.#uses.get(line) ?? 0;
      if (this.#spaces.has(line + (uses - 1) * SPACES_MAX)) continue;
      const space = line + uses * SPACES_MAX;
      this.#uses.set(line, uses + 1);
      this.#spaces.add(space);
      return space;
    }
    throw new ErrnoError('EMFILE', `Cannot open an address space: there are ${SPACES_MAX}; close one`);
  }

  /** Lookups in it find nothing from now on. */
  closeSpace(space: number): void {
    if (this.#spaces.delete(space)) this.#announce(space, 0);
  }

  /**
   * Gives an address space its mappings and probes, all of them.
   *
   * @param mappings that do not overlap, in any order
   * @param probes one for each file and offset, in any order
   * @throws {ErrnoError} ENOSPC when there is no memory left or there are too many; then all stays as it was
   */
  publish(space: number, mappings: readonly FileMapping[], probes: readonly FileProbe[]): void {
    assert(this.#spaces.has(space), 'a table is published for an open address space');
    if (mappings.length > MAPPINGS_MAX || probes.length > PROBES_MAX)
      throw new ErrnoError(
        'ENOSPC',
        `Cannot publish ${mappings.length} mappings and ${probes.length} probes: ${MAPPINGS_MAX} and ${PROBES_MAX} fit`,
      );
    this.#reclaim();
    const cells = HEADER.CELLS + mappings.length * MAPPING.CELLS + probes.length * PROBE.CELLS;
    const table = this.#extents.take(cells);
    if (table === undefined)
      throw new ErrnoError(
        'ENOSPC',
        `Cannot publish a table of ${cells} cells: ${this.#extents.used} of ${this.#memory.cellCount} are in use; close address spaces`,
      );
    this.#fill(table, space, mappings, probes);
    this.#announce(space, table);
  }

  #fill(table: number, space: number, mappings: readonly FileMapping[], probes: readonly FileProbe[]): void {
    const memory = this.#memory;
    memory.writeCell(table + HEADER.SPACE, space);
    memory.writeCell(table + HEADER.MAPPINGS, mappings.length);
    memory.writeCell(table + HEADER.PROBES, probes.length);
    let cell = table + HEADER.CELLS;
    for (const { start, end, file, offset } of mappings.toSorted((a, b) => a.start - b.start)) {
      memory.writeCell(cell + MAPPING.START, start);
      memory.writeCell(cell + MAPPING.END, end);
      memory.writeCell(cell + MAPPING.FILE, file);
      memory.writeCell(cell + MAPPING.OFFSET, offset);
      cell += MAPPING.CELLS;
    }
    for (const { file, offset, number } of probes.toSorted(
      (a, b) => a.file - b.file || a.offset - b.offset,
    )) {
      memory.writeCell(cell + PROBE.FILE, file);
      memory.writeCell(cell + PROBE.OFFSET, offset);
      memory.writeCell(cell + PROBE.NUMBER, number);
      cell += PROBE.CELLS;
    }
  }

  #announce(space: number, table: number): void {
    const memory = this.#memory;
    const sequence = memory.loadWord(sequenceWord(space));
    const former = memory.loadWord(placeWord(space, sequence));
    memory.storeWord(placeWord(space, sequence + 1), table);
    memory.storeWord(sequenceWord(space), (sequence + 1) | 0);
    if (former !== 0) this.#retired.push(former);
  }

  /** A reader that pins a table after this has looked finds that it is not the latest, and leaves it unread. */
  #reclaim(): void {
    if (this.#retired.length === 0) return;
    const pinned = new Set<number>();
    for (const reader of this.#readers) pinned.add(this.#memory.loadWord(pinnedWord(reader)));
    const isFree = (table: number): boolean => !pinned.has(table);
    for (const table of this.#retired.filter(isFree)) this.#extents.giveBack(table);
    this.#retired = this.#retired.filter((table) => pinned.has(table));
  }
}
