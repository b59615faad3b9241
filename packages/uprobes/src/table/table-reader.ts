/**
 * Finds the probe at an address, from any thread, without a lock: the hit path. A reader says in which table it will be, and looks
 * whether that is still the latest; if not, it tries again. From then on the table is its own until it says that it left: the
 * writer publishes new tables elsewhere, and writes over one only when no reader has said so.
 *
 * Costs two atomic stores to the reader's own cache line, three atomic loads and two binary searches. Nothing is allocated.
 */

import { assert } from '@usertrace/base';
import { HEADER, MAPPING, PROBE } from './table-layout.ts';
import { pinnedWord, placeWord, type ReadingMemory, sequenceWord } from './table-memory.ts';

/** What a lookup answers where no probe is. */
export const NO_PROBE = -1;

/** Each try fails only because a table was published within its few nanoseconds. */
const TRIES_MAX = 1_000_000;

/** Looks probes up for one thread. */
export class TableReader {
  readonly #memory: ReadingMemory;
  readonly #pinnedWord: number;

  /**
   * @param memory that of the writer
   * @param reader the number that TableWriter.addReader gave, used by this thread alone
   */
  constructor(memory: ReadingMemory, reader: number) {
    this.#memory = memory;
    this.#pinnedWord = pinnedWord(reader);
  }

  /**
   * The probe at an address, as it was at some moment during the call.
   *
   * @param space what TableWriter.openSpace gave
   * @param address in that address space
   * @returns the probe's number; NO_PROBE where there is none, and when the address space was closed
   */
  lookup(space: number, address: number): number {
    const memory = this.#memory;
    const table = this.#pin(space);
    const answer =
      table === 0 || memory.readCell(table + HEADER.SPACE) !== space ? NO_PROBE : this.#find(table, address);
    memory.storeWord(this.#pinnedWord, 0);
    return answer;
  }

  /** Where the latest table begins, which stays as it is until this reader pins another or none. */
  #pin(space: number): number {
    const memory = this.#memory;
    const word = sequenceWord(space);
    let sequence = memory.loadWord(word);
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const table = memory.loadWord(placeWord(space, sequence));
      memory.storeWord(this.#pinnedWord, table);
      const sequenceNow = memory.loadWord(word);
      if (sequenceNow === sequence) return table;
      sequence = sequenceNow;
    }
    assert(false, `a table is published less than ${TRIES_MAX} times during a lookup`);
    return 0;
  }

  #find(table: number, address: number): number {
    const memory = this.#memory;
    const mappings = table + HEADER.CELLS;
    const mappingCount = memory.readCell(table + HEADER.MAPPINGS);
    let low = 0;
    let high = mappingCount;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (memory.readCell(mappings + middle * MAPPING.CELLS + MAPPING.END) <= address) low = middle + 1;
      else high = middle;
    }
    if (low === mappingCount) return NO_PROBE;
    const mapping = mappings + low * MAPPING.CELLS;
    const start = memory.readCell(mapping + MAPPING.START);
    if (address < start) return NO_PROBE;
    const file = memory.readCell(mapping + MAPPING.FILE);
    const offset = memory.readCell(mapping + MAPPING.OFFSET) + address - start;
    return this.#findProbe(
      mappings + mappingCount * MAPPING.CELLS,
      memory.readCell(table + HEADER.PROBES),
      file,
      offset,
    );
  }

  #findProbe(probes: number, count: number, file: number, offset: number): number {
    const memory = this.#memory;
    let low = 0;
    let high = count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const probe = probes + middle * PROBE.CELLS;
      const probeFile = memory.readCell(probe + PROBE.FILE);
      const probeOffset = memory.readCell(probe + PROBE.OFFSET);
      if (probeFile === file && probeOffset === offset) return memory.readCell(probe + PROBE.NUMBER);
      if (probeFile < file || (probeFile === file && probeOffset < offset)) low = middle + 1;
      else high = middle;
    }
    return NO_PROBE;
  }
}
