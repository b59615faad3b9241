/**
 * Stores into the words of one address space: one at a time for each word, in the order they were asked for.
 *
 * A store to a program's memory can take any time. Two in flight for one word could land in either order, and
 * each rewrites a whole byte, so they wait for each other. Different words do not: a page that hangs delays
 * only itself. Words are 8 bytes here, for a 4-byte word and an 8-byte one may share bytes.
 *
 * An {@link AddressSpace} owns its WordStores. A word is in the table only while it has jobs.
 */

import { type Address, assert } from '@usertrace/base';
import type { MemoryHandle, MemoryPort, StoreOutcome } from './ports.ts';

/** Somebody who wants a bit stored. */
export interface StoreJob {
  readonly address: Address;
  readonly bit: number;
  /** Asked when the store begins: the bit's value, or undefined if it is not wanted any more. */
  beginStore(): boolean | undefined;
  /** The word hangs: the store, begun or not, will take unknown time. It stays in line. */
  storeIsLate(): void;
  /** The store ended, or is not begun: it is not wanted any more, or the address space is `gone`. */
  storeEnded(outcome: Exclude<StoreOutcome, 'late'>): void;
}

interface Word {
  /** The first is in flight. */
  readonly jobs: StoreJob[];
  isLate: boolean;
}

const WORD_SIZE = 8n;

/** The stores of one address space. */
export class WordStores {
  readonly #memory: MemoryPort;
  readonly #handle: MemoryHandle;
  readonly #busyWords = new Map<bigint, Word>();
  readonly #gone: () => void;
  #isDropped = false;

  /**
   * @param memory where to store
   * @param handle the address space; owned from now on
   * @param gone called when a store found that no task uses the address space any more
   */
  constructor(memory: MemoryPort, handle: MemoryHandle, gone: () => void) {
    this.#memory = memory;
    this.#handle = handle;
    this.#gone = gone;
  }

  /** False once no task uses the address space. */
  isAlive(): boolean {
    return this.#memory.isAlive(this.#handle);
  }

  /** Puts a job in line for its word. */
  add(job: StoreJob): void {
    assert(!this.#isDropped, 'a dropped address space gets no stores');
    const key = job.address / WORD_SIZE;
    const word = this.#busyWords.get(key);
    if (word === undefined) {
      const fresh: Word = { jobs: [job], isLate: false };
      this.#busyWords.set(key, fresh);
      this.#beginFirst(key, fresh);
      return;
    }
    word.jobs.push(job);
    if (word.isLate) job.storeIsLate();
  }

  /** Begins no more stores, and closes the address space when those in flight have ended. */
  drop(): void {
    this.#isDropped = true;
    this.#closeIfIdle();
  }

  #beginFirst(key: bigint, word: Word): void {
    for (let job = word.jobs[0]; job !== undefined; job = word.jobs[0]) {
      const value = this.#isDropped ? undefined : job.beginStore();
      if (value !== undefined) {
        const completed = (outcome: StoreOutcome): void => this.#completed(key, word, outcome);
        this.#memory.storeBit(this.#handle, job.address, job.bit, value, completed);
        return;
      }
      word.jobs.shift();
      job.storeEnded('gone');
    }
    this.#busyWords.delete(key);
    this.#closeIfIdle();
  }

  #completed(key: bigint, word: Word, outcome: StoreOutcome): void {
    assert(this.#busyWords.get(key) === word, 'a store completes once');
    if (outcome === 'late') {
      assert(!word.isLate, 'a store is late once');
      word.isLate = true;
      for (const job of word.jobs) job.storeIsLate();
      return;
    }
    word.isLate = false;
    const job = word.jobs.shift();
    assert(job !== undefined, 'a job is in flight');
    job.storeEnded(outcome);
    if (outcome === 'gone') this.#gone();
    this.#beginFirst(key, word);
  }

  #closeIfIdle(): void {
    if (this.#isDropped && this.#busyWords.size === 0) this.#memory.close(this.#handle);
  }
}
