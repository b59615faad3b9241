/**
 * Simulated writers of a lane: threads in a trampoline, of which each store is a step, so that a reader can look between any two. They do
 * what trampoline/trampoline.ts does, and no more.
 */

import { LANE_HEADER, LANE_MARGIN, type LaneSet, SLOT } from '../trampoline/lane-layout.ts';

/** A lane of 128 slots of 64 bytes. */
export const SIMULATED_SET: LaneSet = {
  offset: 4096,
  laneCountShift: 0,
  laneSizeShift: 14,
  slotSizeShift: 6,
  slotCountShift: 7,
};
const SLOT_COUNT = 2 ** SIMULATED_SET.slotCountShift;
const SLOT_SIZE = 2 ** SIMULATED_SET.slotSizeShift;
const LANE = SIMULATED_SET.offset;

export class SimulatedWriters {
  readonly memory: ArrayBuffer = new ArrayBuffer(LANE + 2 ** SIMULATED_SET.laneSizeShift);
  readonly view: DataView = new DataView(this.memory);
  /** Hits that were begun: the value of the following one. */
  begun = 0;
  /** Values of hits that were published. */
  readonly published: number[] = [];
  /** The time of the following hit. */
  counter = 1000n;
  readonly #threads = new Map<number, Generator<void, void>>();

  /** Threads that are in the trampoline. */
  get inside(): number[] {
    return [...this.#threads.keys()];
  }

  get head(): number {
    return Number(this.view.getBigUint64(LANE + LANE_HEADER.head, true));
  }

  /** One step of a thread: it begins a hit when it is in none. */
  step(tid: number): void {
    let thread = this.#threads.get(tid);
    if (thread === undefined) {
      thread = this.#hit(tid, this.begun++);
      this.#threads.set(tid, thread);
    }
    if (thread.next().done === true) this.#threads.delete(tid);
  }

  /** All threads go on until they are out. */
  finish(): void {
    for (const tid of this.inside) while (this.#threads.has(tid)) this.step(tid);
  }

  /** A thread ends where it is. */
  kill(tid: number): void {
    this.#threads.delete(tid);
  }

  *#hit(tid: number, value: number): Generator<void, void> {
    const { view } = this;
    const time = this.counter++;
    yield;
    const head = view.getBigUint64(LANE + LANE_HEADER.head, true);
    yield;
    const room = head - view.getBigUint64(LANE + LANE_HEADER.tail, true);
    yield;
    if (room >= BigInt(SLOT_COUNT - LANE_MARGIN)) {
      const lost = LANE + LANE_HEADER.lost;
      view.setBigUint64(lost, view.getBigUint64(lost, true) + 1n, true);
      return;
    }
    const number = view.getBigUint64(LANE + LANE_HEADER.head, true);
    view.setBigUint64(LANE + LANE_HEADER.head, number + 1n, true);
    const slot = LANE + LANE_HEADER.size + (Number(number) % SLOT_COUNT) * SLOT_SIZE;
    yield;
    view.setBigUint64(slot + SLOT.time, time, true);
    yield;
    view.setUint32(slot + SLOT.tid, tid, true);
    view.setUint32(slot + SLOT.pid, 77, true);
    yield;
    view.setUint32(slot + SLOT.probe, 5, true);
    view.setBigUint64(slot + SLOT.faults, 0n, true);
    yield;
    view.setBigUint64(slot + SLOT.values, BigInt(value), true);
    yield;
    view.setBigUint64(slot + SLOT.sequence, number + 1n, true);
    this.published.push(value);
  }
}
