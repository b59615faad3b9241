/**
 * HitQueue puts hits in the order of their times: those of many lanes, and of breakpoints. A hit that was published late is older than
 * what came out of its lane before; so hits wait in here until the following look at the lanes.
 */

/** The most hits that wait; what is more comes out before its time, in order with what waits. */
const HITS_MAX = 2 ** 16;

interface Waiting<Hit> {
  readonly timeNs: bigint;
  readonly hit: Hit;
}

export class HitQueue<Hit> {
  readonly #take: (hit: Hit, timeNs: bigint) => void;
  #waiting: Waiting<Hit>[] = [];

  /** @param take is given the hits in order. It is called from release() and push(). */
  constructor(take: (hit: Hit, timeNs: bigint) => void) {
    this.#take = take;
  }

  /** @param timeNs CLOCK_MONOTONIC nanoseconds */
  push(hit: Hit, timeNs: bigint): void {
    this.#waiting.push({ timeNs, hit });
    if (this.#waiting.length < HITS_MAX) return;
    this.#sort();
    for (const { hit: early, timeNs: time } of this.#waiting.splice(0, HITS_MAX / 2)) this.#take(early, time);
  }

  /**
   * Lets out what waits.
   *
   * @param untilNs those up to this time; all without it
   */
  release(untilNs?: bigint): void {
    if (this.#waiting.length === 0) return;
    this.#sort();
    const later = untilNs === undefined ? -1 : this.#waiting.findIndex(({ timeNs }) => timeNs > untilNs);
    const released = later < 0 ? this.#waiting : this.#waiting.slice(0, later);
    this.#waiting = later < 0 ? [] : this.#waiting.slice(later);
    for (const { hit, timeNs } of released) this.#take(hit, timeNs);
  }

  #sort(): void {
    this.#waiting.sort((one, other) => (one.timeNs < other.timeNs ? -1 : one.timeNs > other.timeNs ? 1 : 0));
  }
}
