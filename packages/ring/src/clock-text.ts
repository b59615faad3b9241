/**
 * How an instant of a trace clock is printed. Most clocks count nanoseconds and print seconds and microseconds;
 * others (`counter`, `uptime`) are printed as they are.
 */
import type { Nanoseconds } from '@usertrace/base';

const NS_PER_US = 1000;
const NS_PER_S = 1_000_000_000;
const US_PER_S = 1_000_000;
/** The width of a clock that is printed as it is. */
const COUNT_WIDTH = 12;

/** A trace clock with the instant from which a ring buffer counts. */
export class ClockText {
  readonly #epoch: bigint;
  readonly #isNanoseconds: boolean;
  readonly #epochSeconds: number;
  readonly #epochRestNs: number;

  /**
   * @param epoch the buffer's epoch, in units of the clock
   * @param isNanoseconds whether the clock's unit is the nanosecond
   */
  constructor(epoch: bigint, isNanoseconds: boolean) {
    this.#epoch = epoch;
    this.#isNanoseconds = isNanoseconds;
    this.#epochSeconds = Number(epoch / BigInt(NS_PER_S));
    this.#epochRestNs = Number(epoch % BigInt(NS_PER_S));
  }

  /**
   * The time as a line of `trace` has it, without the space before and the colon after it.
   *
   * @param time units of the clock since the epoch
   */
  column(time: Nanoseconds): string {
    return this.#isNanoseconds ? this.#seconds(time) : this.#count(time).padStart(COUNT_WIDTH);
  }

  /**
   * The time as `per_cpu/cpuN/stats` has it.
   *
   * @param time units of the clock since the epoch
   */
  statistic(time: Nanoseconds): string {
    return this.#isNanoseconds ? this.#seconds(time) : this.#count(time);
  }

  /** The statistic of the clock's own zero, which stands for a time that there is not. */
  get zero(): string {
    return this.#isNanoseconds ? '    0.000000' : '0';
  }

  #count(time: number): string {
    return (this.#epoch + BigInt(time)).toString();
  }

  #seconds(time: number): string {
    // The kernel rounds to the nearest microsecond, the half up.
    const us = Math.floor((this.#epochRestNs + time + NS_PER_US / 2) / NS_PER_US);
    const seconds = this.#epochSeconds + Math.floor(us / US_PER_S);
    return `${String(seconds).padStart(5)}.${String(us % US_PER_S).padStart(6, '0')}`;
  }
}
