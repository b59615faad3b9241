/**
 * The two tables that are compared, with the same mappings and probes: the lock-free one of @usertrace/uprobes, and one under a
 * lock, which readers and the writer take in turn (three states: free, taken, taken with waiters; Drepper, "Futexes are
 * tricky").
 */
import { type FileMapping, type FileProbe, NO_PROBE } from '@usertrace/uprobes';

const MAPPINGS = 400;
const PROBES = 1000;
const MAPPING_BYTES = 0x10_0000;
const PROBES_EACH = 5;
const FILE_PROBES = MAPPINGS * PROBES_EACH;

/** A program of some size: `turn` moves one mapping in eight. */
export function mappingsAt(turn: number): FileMapping[] {
  return Array.from({ length: MAPPINGS }, (_, index) => {
    const start = 0x7f00_0000_0000 + index * 2 * MAPPING_BYTES + (index % 8 === turn % 8 ? 0x1000 : 0);
    return {
      start,
      end: start + MAPPING_BYTES,
      file: index % 40,
      offset: Math.floor(index / 40) * MAPPING_BYTES,
    };
  });
}

/** Probes on its files. */
export function probes(): FileProbe[] {
  return Array.from({ length: PROBES }, (_, number) => ({
    file: number % 40,
    offset: Math.floor(number / 40) * 0x4_0000 + 0x40,
    number,
  }));
}

/** Addresses with and without probes. */
export function someAddresses(): number[] {
  return Array.from({ length: FILE_PROBES }, (_, i) => {
    const start = 0x7f00_0000_0000 + (i % MAPPINGS) * 2 * MAPPING_BYTES;
    return start + Math.floor(i / MAPPINGS) * 0x4_0000 + (i % 3 === 0 ? 0x44 : 0x40);
  });
}

const FREE = 0;
const TAKEN = 1;
const CONTENDED = 2;
const LOCK_BYTES = 64;
const LOCK_WAIT_MS = 1000;

/** The baseline: sorted cells and a lock. */
export class LockedTable {
  readonly buffer: SharedArrayBuffer;
  readonly #lock: Int32Array;
  readonly #cells: Float64Array;

  constructor(buffer = new SharedArrayBuffer(LOCK_BYTES + 8 * (2 + MAPPINGS * 4 + PROBES * 3))) {
    this.buffer = buffer;
    this.#lock = new Int32Array(buffer, 0, 1);
    this.#cells = new Float64Array(buffer, LOCK_BYTES);
  }

  publish(mappings: readonly FileMapping[], placed: readonly FileProbe[]): void {
    this.#take();
    const cells = this.#cells;
    cells[0] = mappings.length;
    cells[1] = placed.length;
    let cell = 2;
    for (const { start, end, file, offset } of mappings.toSorted((a, b) => a.start - b.start))
      for (const value of [start, end, file, offset]) cells[cell++] = value;
    for (const { file, offset, number } of placed.toSorted((a, b) => a.file - b.file || a.offset - b.offset))
      for (const value of [file, offset, number]) cells[cell++] = value;
    this.#give();
  }

  lookup(address: number): number {
    this.#take();
    const answer = this.#find(address);
    this.#give();
    return answer;
  }

  #find(address: number): number {
    const cells = this.#cells;
    const at = (cell: number): number => cells[cell] ?? 0;
    const count = at(0);
    let low = 0;
    for (let high = count; low < high; ) {
      const middle = (low + high) >>> 1;
      if (at(2 + middle * 4 + 1) <= address) low = middle + 1;
      else high = middle;
    }
    const mapping = 2 + low * 4;
    if (low === count || address < at(mapping)) return NO_PROBE;
    const file = at(mapping + 2);
    const offset = at(mapping + 3) + address - at(mapping);
    const first = 2 + count * 4;
    low = 0;
    for (let high = at(1); low < high; ) {
      const middle = (low + high) >>> 1;
      const probe = first + middle * 3;
      if (at(probe) === file && at(probe + 1) === offset) return at(probe + 2);
      if (at(probe) < file || (at(probe) === file && at(probe + 1) < offset)) low = middle + 1;
      else high = middle;
    }
    return NO_PROBE;
  }

  #take(): void {
    if (Atomics.compareExchange(this.#lock, 0, FREE, TAKEN) === FREE) return;
    while (Atomics.exchange(this.#lock, 0, CONTENDED) !== FREE)
      Atomics.wait(this.#lock, 0, CONTENDED, LOCK_WAIT_MS);
  }

  #give(): void {
    if (Atomics.exchange(this.#lock, 0, FREE) === CONTENDED) Atomics.notify(this.#lock, 0, 1);
  }
}
