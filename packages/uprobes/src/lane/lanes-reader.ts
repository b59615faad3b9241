/**
 * LanesReader reads all lanes of one memory file: those of a process, and of its forks' children. It belongs to whoever has mapped
 * the file, and must not be used after that is unmapped.
 */

import type { LaneSet } from '../trampoline/lane-layout.ts';
import type { CounterClock } from './counter-clock.ts';
import { type HeldSlot, Lane, type SlotHit } from './lane.ts';

export class LanesReader {
  readonly #clock: CounterClock;
  readonly #lanes: readonly Lane[];
  #lostTold = 0;
  #settledAt: number;

  /**
   * @param memory the file, mapped; its size sealed
   * @param sets how it is cut (laneSets())
   * @param clock of the machine; several readers may share one
   */
  constructor(memory: ArrayBuffer, sets: readonly LaneSet[], clock: CounterClock) {
    this.#clock = clock;
    this.#settledAt = clock.counter;
    this.#lanes = sets.flatMap((set) =>
      Array.from({ length: 2 ** set.laneCountShift }, (_, index) => new Lane(memory, set, index)),
    );
    this.#lostTold = this.#lost();
  }

  /** Why lanes are read no more: what no writer leaves was found in them. */
  get damage(): readonly string[] {
    return this.#lanes.flatMap(({ damage }) => damage ?? []);
  }

  /** Of each lane the slots that were taken and are not published. */
  held(): (readonly HeldSlot[])[] {
    return this.#lanes.map((lane) => lane.held());
  }

  /** The numbers of slots that writers have taken, of each lane: what drain() may be told later. */
  heads(): number[] {
    return this.#lanes.map(({ head }) => head);
  }

  /**
   * Takes the hits that were published.
   *
   * @param take is given each, with CLOCK_MONOTONIC nanoseconds; in the order of their times, but for those that were published late
   * @param passedBelow of each lane, as heads() told it at a moment after which no writer was in a trampoline: what is not published
   *   below these numbers never will be
   * @returns `settledNs`: no hit to come is older, except of a thread that was held up in a trampoline since the last call; `lost`:
   *   hits since the last call that could not be recorded, or not be read
   */
  drain(
    take: (hit: SlotHit, timeNs: bigint) => void,
    passedBelow: readonly number[] = [],
  ): { readonly settledNs: bigint; readonly lost: number } {
    const taken: { readonly hit: SlotHit; readonly counter: number }[] = [];
    for (const [index, lane] of this.#lanes.entries())
      lane.drain((hit) => {
        taken.push({ hit, counter: this.#clock.valueOf(hit.low, hit.high) });
      }, passedBelow[index]);
    const settledNs = this.#clock.timeOf(this.#settledAt);
    // Behind all hits that were taken, so that their times lie between two readings.
    this.#settledAt = this.#clock.advance();
    taken.sort((one, other) => one.counter - other.counter);
    for (const { hit, counter } of taken) take(hit, this.#clock.timeOf(counter));
    const lost = this.#lost();
    const lostNow = Math.max(0, lost - this.#lostTold);
    this.#lostTold = lost;
    return { settledNs, lost: lostNow };
  }

  #lost(): number {
    return this.#lanes.reduce((sum, lane) => sum + lane.lost, 0);
  }
}
