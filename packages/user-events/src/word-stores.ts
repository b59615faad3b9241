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
  /** The store ended, or is not begun: it is not wanted any more, or the address space is `gone`. */
  storeEnded(outcome: StoreOutcome): void;
}

const WORD_SIZE = 8n;

/** The stores of one address space. */
export class WordStores {
  readonly #memory: MemoryPort;
  readonly #handle: MemoryHandle;
  /** By address over eight. The first job of each is in flight. */
  readonly #busyWords = new Map<bigint, StoreJob[]>();
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
    const word = job.address / WORD_SIZE;
    const jobs = this.#busyWords.get(word);
    if (jobs !== undefined) {
      jobs.push(job);
      return;
    }
    this.#busyWords.set(word, [job]);
    this.#beginFirst(word);
  }

  /** Begins no more stores, and closes the address space when those in flight have ended. */
  drop(): void {
    this.#isDropped = true;
    this.#closeIfIdle();
  }

  #beginFirst(word: bigint): void {
    const jobs = this.#busyWords.get(word);
    assert(jobs !== undefined, 'a word with jobs is busy');
    for (let job = jobs[0]; job !== undefined; job = jobs[0]) {
      const value = this.#isDropped ? undefined : job.beginStore();
      if (value !== undefined) {
        const completed = (outcome: StoreOutcome): void => this.#completed(word, outcome);
        this.#memory.storeBit(this.#handle, job.address, job.bit, value, completed);
        return;
      }
      jobs.shift();
      job.storeEnded('gone');
    }
    this.#busyWords.delete(word);
    this.#closeIfIdle();
  }

  #completed(word: bigint, outcome: StoreOutcome): void {
    const job = this.#busyWords.get(word)?.shift();
    assert(job !== undefined, 'a store completes once');
    job.storeEnded(outcome);
    if (outcome === 'gone') this.#gone();
    this.#beginFirst(word);
  }

  #closeIfIdle(): void {
    if (this.#isDropped && this.#busyWords.size === 0) this.#memory.close(this.#handle);
  }
}
