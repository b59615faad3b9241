/**
 * Calls in one address space whose returns are followed from the function's entry, and the places where they return to, which have
 * breakpoints for as long as anybody follows calls.
 */

import { type Mapping, mappingAt } from '../process/process-maps.ts';
import type { Consumer } from '../tracer/consumer.ts';
import { type CallFrame, CallFrames } from './call-frames.ts';

/** Places that functions return to, of one program. */
const RETURN_ADDRESSES_MAX = 1_024;

/** Those of one address space. */
export class FollowedCalls {
  #frames = new CallFrames<Consumer>();
  readonly #returnAddresses = new Set<number>();
  /** Those that took no breakpoint. */
  readonly #refused = new Set<number>();

  /** Those of a fork's child. */
  fork(): FollowedCalls {
    const child = new FollowedCalls();
    child.#frames = this.#frames.fork();
    for (const address of this.#returnAddresses) child.#returnAddresses.add(address);
    for (const address of this.#refused) child.#refused.add(address);
    return child;
  }

  /** Where breakpoints have to be. */
  get returnAddresses(): ReadonlySet<number> {
    return this.#returnAddresses;
  }

  /**
   * A function is entered.
   *
   * @returns whether where it returns to is new, and needs a breakpoint before the function runs
   */
  open(frame: CallFrame<Consumer>): boolean {
    const { returnAddress } = frame;
    const isKnown = this.#returnAddresses.has(returnAddress);
    const isFull = !isKnown && this.#returnAddresses.size >= RETURN_ADDRESSES_MAX;
    if (isFull || this.#refused.has(returnAddress)) {
      countMissed([frame]);
      return false;
    }
    this.#returnAddresses.add(returnAddress);
    countMissed(this.#frames.open(frame));
    return !isKnown;
  }

  /**
   * A thread is at an address.
   *
   * @returns whose calls are over by that, the last one first
   */
  close(tid: number, address: number, stackPointer: number): Consumer[] {
    return this.#frames.close(tid, address, stackPointer).map(({ call }) => call);
  }

  dropThread(tid: number): void {
    this.#frames.dropThread(tid);
  }

  dropConsumer(consumer: Consumer): void {
    this.#frames.dropCall(consumer);
  }

  /**
   * Forgets places of return that are not needed, or have no file's code: that may be moved or written over by its program at any
   * time, and so nothing is put there.
   */
  keepValid(mappings: readonly Mapping[], hasCalls: boolean): void {
    this.#refused.clear();
    for (const address of this.#returnAddresses) {
      const mapping = mappingAt(mappings, address);
      const isCode = mapping?.isExecutable === true && mapping.identity !== undefined;
      if (hasCalls && isCode) continue;
      this.#returnAddresses.delete(address);
      countMissed(this.#frames.dropReturningTo(address));
    }
  }

  /** No breakpoint could be put at an address: calls that return there are missed, until the next `keepValid`. */
  refuse(address: number): void {
    if (!this.#returnAddresses.has(address)) return;
    this.#refused.add(address);
    countMissed(this.#frames.dropReturningTo(address));
  }
}

function countMissed(frames: readonly CallFrame<Consumer>[]): void {
  for (const { call } of frames) call.misses += 1;
}
