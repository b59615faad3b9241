/**
 * A probe table's real reader and writer over a memory in which every access is a step. Before each access of the writer, readers
 * take any number of steps, in any order; some fall asleep in the middle of a lookup for a long time. So every interleaving of
 * one writer with several readers can happen.
 *
 * A reader keeps no state of its own between accesses but what it has read. So a lookup is continued by starting it anew and
 * answering its former accesses as they were answered.
 */

import { ErrnoError } from '@usertrace/base';
import type { FileMapping, FileProbe } from './table-layout.ts';
import { pinnedWord, type ReadingMemory, sequenceWord, type WritingMemory } from './table-memory.ts';
import { NO_PROBE, TableReader } from './table-reader.ts';
import { TableWriter } from './table-writer.ts';

const PAGE = 4096;
const FILES = 3;
const SPACES = 2;
const ADDRESSES = 12;
/** A lookup in tables of this size takes fewer accesses, however often it must try again in between. */
const QUIET_ACCESSES_MAX = 80;

/** Thrown by a reader's memory when it has taken its step. */
class Paused extends Error {}

/** What a space was at one time. */
interface Version {
  readonly mappings: readonly FileMapping[];
  readonly probes: readonly FileProbe[];
}

/** The answer, found the long way. */
function truth({ mappings, probes }: Version, address: number): number {
  const mapping = mappings.find(({ start, end }) => start <= address && address < end);
  if (mapping === undefined) return NO_PROBE;
  const offset = mapping.offset + address - mapping.start;
  return probes.find((probe) => probe.file === mapping.file && probe.offset === offset)?.number ?? NO_PROBE;
}

/** Whole numbers from a seed (mulberry32). */
export class Choices {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** @returns 0 or more, less than the limit */
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let value = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) % limit;
  }
}

/** One reader, a step at a time. */
class SteppedReader implements ReadingMemory {
  readonly #simulation: TableSimulation;
  readonly #number: number;
  readonly #reader: TableReader;
  #answers: number[] = [];
  #position = 0;
  #mayStep = false;
  #space = 0;
  #address = 0;
  #firstVersion = 0;
  #isLooking = false;
  /** Steps for which it does nothing. */
  asleep = 0;
  lookups = 0;
  retries = 0;
  #pins = 0;
  #loadedAt = 0;
  /** When the place of the pinned table was read: nothing in it may change after that. */
  #placeLoadedAt = 0;

  constructor(simulation: TableSimulation, number: number) {
    this.#simulation = simulation;
    this.#number = number;
    this.#reader = new TableReader(this, number);
  }

  get isLooking(): boolean {
    return this.#isLooking;
  }

  /** One access of a lookup; the first one chooses what to look for. */
  step(): void {
    const { choices } = this.#simulation;
    if (!this.#isLooking) {
      this.#isLooking = true;
      this.#space = choices.below(SPACES);
      this.#address = this.#simulation.someAddress();
      this.#firstVersion = this.#simulation.versionNumber(this.#space);
      this.#answers = [];
      this.#pins = 0;
    }
    this.#position = 0;
    this.#mayStep = true;
    try {
      const found = this.#reader.lookup(this.#simulation.spaceIdentity(this.#space), this.#address);
      this.#isLooking = false;
      this.lookups++;
      this.retries += Math.max(0, this.#pins - 1);
      this.#simulation.check(this.#space, this.#address, this.#firstVersion, found);
    } catch (error) {
      if (!(error instanceof Paused)) throw error;
    }
  }

  loadWord(word: number): number {
    return this.#access(() => {
      this.#loadedAt = this.#simulation.writes;
      return this.#simulation.words[word] ?? 0;
    });
  }

  storeWord(word: number, value: number): void {
    this.#access(() => {
      this.#simulation.words[word] = value;
      if (word === pinnedWord(this.#number) && value !== 0) {
        this.#pins++;
        this.#placeLoadedAt = this.#loadedAt;
      }
      return 0;
    });
  }

  readCell(cell: number): number {
    return this.#access(() => {
      if ((this.#simulation.writtenAt[cell] ?? 0) > this.#placeLoadedAt)
        throw new Error(`cell ${cell} was written after the place of its table was read`);
      return this.#simulation.cells[cell] ?? Number.NaN;
    });
  }

  #access(make: () => number): number {
    const answered = this.#answers[this.#position++];
    if (answered !== undefined) return answered;
    if (!this.#mayStep) throw new Paused();
    this.#mayStep = false;
    const answer = make();
    this.#answers.push(answer);
    return answer;
  }
}

/** A writer, readers, and what was true when. */
export class TableSimulation implements WritingMemory {
  readonly choices: Choices;
  readonly words: number[] = [];
  readonly cells: number[] = [];
  /** Counts the writer's accesses. */
  writes = 0;
  readonly writtenAt: number[] = [];
  readonly cellCount: number;
  readonly #writer: TableWriter;
  readonly #readers: SteppedReader[];
  readonly #spaces: number[];
  /** Of each space, from the oldest. */
  readonly #versions: Version[][];
  #pending: { readonly space: number; readonly version: Version } | undefined;
  #mayRead = true;
  refusals = 0;

  constructor(seed: number) {
    this.choices = new Choices(seed);
    // Sometimes so few that readers asleep in old tables leave no room.
    this.cellCount = 250 + this.choices.below(900);
    this.#writer = new TableWriter(this);
    const readers = 1 + this.choices.below(4);
    this.#readers = Array.from({ length: readers }, () => new SteppedReader(this, this.#writer.addReader()));
    this.#spaces = Array.from({ length: SPACES }, () => this.#writer.openSpace());
    this.#versions = this.#spaces.map(() => [{ mappings: [], probes: [] }]);
  }

  get lookups(): number {
    return this.#readers.reduce((sum, { lookups }) => sum + lookups, 0);
  }

  get retries(): number {
    return this.#readers.reduce((sum, { retries }) => sum + retries, 0);
  }

  /** Publishes tables while readers read, then lets all of them finish. */
  run(changes: number): void {
    for (let i = 0; i < changes; i++) this.#change();
    this.#mayRead = false;
    for (const reader of this.#readers) {
      let accesses = 0;
      while (reader.isLooking) {
        reader.step();
        if (++accesses > QUIET_ACCESSES_MAX) throw new Error('a lookup does not end though nothing changes');
      }
    }
    for (const space of this.#spaces) this.#writer.closeSpace(space);
    const last = this.#writer.openSpace();
    for (let i = 0; i < 3; i++) this.#writer.publish(last, [], []);
    if (this.#writer.usedCells > 2 * 3) throw new Error(`${this.#writer.usedCells} cells stay in use`);
  }

  spaceIdentity(space: number): number {
    return this.#spaces[space] ?? 0;
  }

  versionNumber(space: number): number {
    return (this.#versions[space]?.length ?? 0) - 1;
  }

  someAddress(): number {
    return (1 + this.choices.below(ADDRESSES)) * PAGE + this.choices.below(4);
  }

  /** Throws unless the answer was true in one of the versions since. */
  check(space: number, address: number, since: number, found: number): void {
    const versions = (this.#versions[space] ?? []).slice(since);
    if (versions.some((version) => truth(version, address) === found)) return;
    throw new Error(
      `lookup of 0x${address.toString(16)} answered ${found}, which was at no time in its duration`,
    );
  }

  loadWord(word: number): number {
    this.#letReadersRun();
    return this.words[word] ?? 0;
  }

  storeWord(word: number, value: number): void {
    this.#letReadersRun();
    this.words[word] = value;
    this.writes++;
    const pending = this.#pending;
    if (pending === undefined || word !== sequenceWord(this.spaceIdentity(pending.space))) return;
    this.#versions[pending.space]?.push(pending.version);
  }

  readCell(cell: number): number {
    return this.cells[cell] ?? Number.NaN;
  }

  writeCell(cell: number, value: number): void {
    this.#letReadersRun();
    this.cells[cell] = value;
    this.writtenAt[cell] = ++this.writes;
  }

  #letReadersRun(): void {
    const { choices } = this;
    for (let steps = this.#mayRead ? choices.below(8) : 0; steps > 0; steps--) {
      const reader = this.#readers[choices.below(this.#readers.length)];
      if (reader === undefined) continue;
      if (reader.asleep > 0) reader.asleep--;
      else if (choices.below(20) === 0) reader.asleep = choices.below(600);
      else reader.step();
    }
  }

  #change(): void {
    const space = this.choices.below(SPACES);
    const version = this.#someVersion();
    this.#pending = { space, version };
    try {
      this.#writer.publish(this.spaceIdentity(space), version.mappings, version.probes);
    } catch (error) {
      if (!(error instanceof ErrnoError) || error.code !== 'ENOSPC') throw error;
      this.refusals++;
    } finally {
      this.#pending = undefined;
    }
  }

  #someVersion(): Version {
    const { choices } = this;
    const mappings: FileMapping[] = [];
    for (let page = 1; page <= ADDRESSES; ) {
      const pages = 1 + choices.below(3);
      const start = page * PAGE;
      if (choices.below(3) > 0)
        mappings.push({
          start,
          end: start + pages * PAGE,
          file: choices.below(FILES),
          offset: choices.below(4) * PAGE,
        });
      page += pages;
    }
    const probes = new Map<string, FileProbe>();
    for (let count = choices.below(14); count > 0; count--) {
      const file = choices.below(FILES);
      const offset = choices.below(6) * PAGE + choices.below(4);
      probes.set(`${file}:${offset}`, { file, offset, number: choices.below(1_000_000) });
    }
    // Any order must do.
    return { mappings: mappings.toReversed(), probes: [...probes.values()] };
  }
}
