/**
 * CounterClock tells what CLOCK_MONOTONIC showed when the processor's time stamp counter had a value. It takes readings of both, as
 * often as advance() is called, and between two of them time goes as a straight line. So it follows the clock however that is
 * corrected, and what it tells of a later value is never earlier.
 *
 * Values are numbers, counted from the first reading: they are exact for a month of counter and for 104 days of time.
 */

import { type CounterReading, readCounter } from '@usertrace/linux';

/**
 * Readings that are kept: those of 80 s for one reader that looks 100 times a second, and of a second for 80. What is older is told
 * the oldest's time.
 */
const READINGS_MAX = 8192;

const TWO_TO_32 = 2 ** 32;

export class CounterClock {
  readonly #read: () => CounterReading;
  #first: CounterReading;
  /** The first counter's halves. */
  #firstLow = 0;
  #firstHigh = 0;
  readonly #counters: number[] = [0];
  readonly #times: number[] = [0];

  /** @param read reads the counter and the clock; this machine's by default */
  constructor(read: () => CounterReading = readCounter) {
    this.#read = read;
    this.#first = read();
    this.#splitFirst();
  }

  /** The counter of the last reading. */
  get counter(): number {
    return this.#counters.at(-1) as number;
  }

  /**
   * Takes a reading. Values up to now can be told afterwards.
   *
   * @returns the counter
   */
  advance(): number {
    const { counter, timeNs } = this.#read();
    const value = Number(counter - this.#first.counter);
    const time = Number(timeNs - this.#first.timeNs);
    if (value < this.counter) this.#restart({ counter, timeNs });
    else if (value > this.counter && time >= (this.#times.at(-1) as number)) {
      this.#counters.push(value);
      this.#times.push(time);
      if (this.#counters.length > READINGS_MAX) {
        this.#counters.shift();
        this.#times.shift();
      }
    }
    return this.counter;
  }

  /**
   * A counter's value, as it is kept in memory, as a number of this clock.
   *
   * @param low its lower 32 bits
   * @param high its upper 32 bits
   */
  valueOf(low: number, high: number): number {
    return ((high >>> 0) - this.#firstHigh) * TWO_TO_32 + ((low >>> 0) - this.#firstLow);
  }

  /**
   * When the counter had a value.
   *
   * @param value of valueOf(); out of the readings' range it is told the nearest reading's time
   * @returns CLOCK_MONOTONIC nanoseconds
   */
  timeOf(value: number): bigint {
    return this.#first.timeNs + BigInt(Math.round(this.#sinceFirst(value)));
  }

  #sinceFirst(value: number): number {
    const counters = this.#counters;
    const times = this.#times;
    let low = 0;
    let high = counters.length - 1;
    if (!(value > (counters[0] as number))) return times[0] as number;
    if (value >= (counters[high] as number)) return times[high] as number;
    // The reading before the value is low, the one behind it high.
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if ((counters[middle] as number) <= value) low = middle;
      else high = middle;
    }
    const [counter, nextCounter] = [counters[low] as number, counters[high] as number];
    const [time, nextTime] = [times[low] as number, times[high] as number];
    return time + ((value - counter) * (nextTime - time)) / (nextCounter - counter);
  }

  #splitFirst(): void {
    this.#firstLow = Number(this.#first.counter & 0xffff_ffffn);
    this.#firstHigh = Number(this.#first.counter >> 32n);
  }

  /** The counter went back: the machine slept, or is another now. */
  #restart(reading: CounterReading): void {
    this.#first = reading;
    this.#splitFirst();
    this.#counters.splice(0, Infinity, 0);
    this.#times.splice(0, Infinity, 0);
  }
}
