/**
 * Timers in the order in which they are due: a binary heap, in which every timer knows its place, so that cancelling
 * is as cheap as adding.
 *
 * The queue holds a timer from `add` until it is due or cancelled; whoever added it keeps it to cancel it.
 */
import { assert, type Nanoseconds } from '@usertrace/base';

/** Timers waiting at once. Who makes them for things of which programs decide how many there are keeps below it. */
export const MAX_TIMERS = 262_144;

const NOT_WAITING = -1;

/** Work to be done at an instant. */
export class Timer {
  readonly dueNs: Nanoseconds;
  readonly work: () => void;
  readonly #cancel: (timer: Timer) => void;
  /** Its index in the heap. Only the queue changes it. */
  place: number = NOT_WAITING;

  constructor(dueNs: Nanoseconds, work: () => void, cancel: (timer: Timer) => void) {
    this.dueNs = dueNs;
    this.work = work;
    this.#cancel = cancel;
  }

  /** Forgets the work. Nothing happens if it was done or cancelled before. */
  cancel(): void {
    if (this.place !== NOT_WAITING) this.#cancel(this);
  }
}

/** The timers that wait. */
export class TimerQueue {
  readonly #heap: Timer[] = [];
  readonly #remove = (timer: Timer): void => this.#takeOut(timer.place);

  /** How many timers wait. */
  get size(): number {
    return this.#heap.length;
  }

  /** The instant of the first timer, or Infinity. */
  get firstDueNs(): number {
    return this.#heap[0]?.dueNs ?? Infinity;
  }

  /**
   * Adds a timer.
   *
   * @param dueNs the instant at which its work should be done
   * @param work what to do then
   */
  add(dueNs: Nanoseconds, work: () => void): Timer {
    assert(this.#heap.length < MAX_TIMERS, 'timers are made for things whose number is bounded');
    const timer = new Timer(dueNs, work, this.#remove);
    this.#heap.push(timer);
    this.#rise(timer, this.#heap.length - 1);
    return timer;
  }

  /**
   * Takes the first timer out if it is due.
   *
   * @param nowNs the instant now
   */
  takeDue(nowNs: Nanoseconds): Timer | undefined {
    const first = this.#heap[0];
    if (first === undefined || first.dueNs > nowNs) return undefined;
    this.#takeOut(0);
    return first;
  }

  #takeOut(place: number): void {
    const taken = this.#heap[place];
    const last = this.#heap.pop();
    assert(taken !== undefined && last !== undefined, 'a waiting timer knows its place');
    taken.place = NOT_WAITING;
    if (last === taken) return;
    this.#rise(last, place);
    this.#sink(last);
  }

  /** Puts a timer where `place` is free, or above. */
  #rise(timer: Timer, place: number): void {
    let free = place;
    while (free > 0) {
      const above = (free - 1) >> 1;
      const parent = this.#heap[above] as Timer;
      if (parent.dueNs <= timer.dueNs) break;
      this.#put(parent, free);
      free = above;
    }
    this.#put(timer, free);
  }

  #sink(timer: Timer): void {
    let free = timer.place;
    for (;;) {
      let below = 2 * free + 1;
      const left = this.#heap[below];
      if (left === undefined) break;
      const right = this.#heap[below + 1];
      if (right !== undefined && right.dueNs < left.dueNs) below += 1;
      const child = this.#heap[below] as Timer;
      if (timer.dueNs <= child.dueNs) break;
      this.#put(child, free);
      free = below;
    }
    this.#put(timer, free);
  }

  #put(timer: Timer, place: number): void {
    this.#heap[place] = timer;
    timer.place = place;
  }
}
