/**
 * All lanes' events in the order of their times; of equal times the lane with the lower number comes first. Holds
 * one page a lane.
 */

import { LaneEvents } from './lane-events.ts';
import type { TraceDatFile } from './trace-dat-file.ts';

export class MergedEvents {
  /** A heap: each lane's present event is not before that of the lane at half its index. */
  readonly #lanes: LaneEvents[] = [];
  #hasStarted = false;

  /** @param file the file */
  constructor(file: TraceDatFile) {
    for (const lane of file.lanes) {
      if (lane.size === 0) continue;
      const events = new LaneEvents(lane.cpu, file.pages(lane), file.pageSize);
      if (events.advance()) {
        this.#lanes.push(events);
        this.#rise(this.#lanes.length - 1);
      }
    }
  }

  /** The lane with the following event as its present one; undefined at the end. It lasts until the next call. */
  advance(): LaneEvents | undefined {
    if (this.#hasStarted) this.#passFirst();
    this.#hasStarted = true;
    return this.#lanes[0];
  }

  #passFirst(): void {
    const first = this.#lanes[0];
    if (first === undefined) return;
    if (!first.advance()) {
      const last = this.#lanes.pop() as LaneEvents;
      if (this.#lanes.length === 0) return;
      this.#lanes[0] = last;
    }
    this.#sink();
  }

  #rise(start: number): void {
    for (let index = start; index > 0; ) {
      const above = (index - 1) >> 1;
      if (!this.#swapIfBefore(index, above)) return;
      index = above;
    }
  }

  #sink(): void {
    for (let index = 0; ; ) {
      const left = 2 * index + 1;
      const [a, b] = [this.#lanes[left], this.#lanes[left + 1]];
      if (a === undefined) return;
      const child = b !== undefined && isBefore(b, a) ? left + 1 : left;
      if (!this.#swapIfBefore(child, index)) return;
      index = child;
    }
  }

  #swapIfBefore(child: number, parent: number): boolean {
    const [a, b] = [this.#lanes[child] as LaneEvents, this.#lanes[parent] as LaneEvents];
    if (!isBefore(a, b)) return false;
    this.#lanes[child] = b;
    this.#lanes[parent] = a;
    return true;
  }
}

function isBefore(a: LaneEvents, b: LaneEvents): boolean {
  return a.timestamp < b.timestamp || (a.timestamp === b.timestamp && a.cpu < b.cpu);
}
