/**
 * The clocks of a trace instance (`trace_clock`). The instance holds one TraceClock and asks it for the time of
 * every event; the buffer is emptied whenever the clock changes, because their times do not compare.
 */

import { Nanoseconds } from '@usertrace/base';
import { ClockText } from '@usertrace/ring';

/** Clocks of the system: CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_BOOTTIME, CLOCK_TAI. */
export type ClockSource = 'monotonic' | 'monotonic-raw' | 'boottime' | 'tai';

/** Where time comes from. */
export interface ClockPort {
  /** Nanoseconds since `epochNs(source)`, an integer. */
  now(source: ClockSource): Nanoseconds;
  /** What the clock showed at its instant 0, in nanoseconds. */
  epochNs(source: ClockSource): bigint;
}

/** A clock's name as in `trace_clock`. */
export type TraceClockName =
  | 'local'
  | 'global'
  | 'counter'
  | 'uptime'
  | 'perf'
  | 'mono'
  | 'mono_raw'
  | 'boot'
  | 'tai';

type ClockRule =
  | { readonly source: ClockSource }
  /** `count`: one more for each event. `ticks`: hundredths of a second since boot. Neither is in nanoseconds. */
  | { readonly unit: 'count' | 'ticks' };

/**
 * The names in the kernel's order. The CPUs' own clocks (local, global, perf) cannot be read here, and every
 * buffer of this program counts CLOCK_MONOTONIC, so these names mean that clock.
 */
const CLOCKS: Record<TraceClockName, ClockRule> = {
  local: { source: 'monotonic' },
  global: { source: 'monotonic' },
  counter: { unit: 'count' },
  uptime: { unit: 'ticks' },
  perf: { source: 'monotonic' },
  mono: { source: 'monotonic' },
  mono_raw: { source: 'monotonic-raw' },
  boot: { source: 'boottime' },
  tai: { source: 'tai' },
};

const NAMES = Object.keys(CLOCKS) as TraceClockName[];
/** USER_HZ: what `uptime` counts. */
const TICK_NS = 10_000_000;

/** The clock of that name, if there is one. */
export function traceClockNamed(name: string): TraceClockName | undefined {
  return NAMES.find((candidate) => candidate === name);
}

export class TraceClock {
  readonly name: TraceClockName;
  /** What the clock showed at its instant 0. */
  readonly epochNs: bigint;
  /** The time now, since `epochNs`. */
  readonly now: () => Nanoseconds;
  /**
   * A time of a moment ago, since `epochNs`: of clocks that do not count CLOCK_MONOTONIC it is the time now.
   *
   * @param timeNs CLOCK_MONOTONIC nanoseconds
   */
  readonly at: (timeNs: bigint) => Nanoseconds;
  /** How its times are printed. */
  readonly printed: ClockText;

  constructor(name: TraceClockName, port: ClockPort) {
    this.name = name;
    const rule = CLOCKS[name];
    if ('source' in rule) {
      const { source } = rule;
      this.epochNs = port.epochNs(source);
      this.printed = new ClockText(this.epochNs, true);
      this.now = () => port.now(source);
      this.at =
        source === 'monotonic'
          ? (timeNs) => Nanoseconds(Math.max(0, Number(timeNs - this.epochNs)))
          : () => this.now();
      return;
    }
    this.epochNs = 0n;
    this.at = () => this.now();
    this.printed = new ClockText(this.epochNs, false);
    if (rule.unit === 'count') {
      let count = 0;
      this.now = () => Nanoseconds(++count);
    } else {
      const epochNs = port.epochNs('boottime');
      const epochTicks = Number(epochNs / BigInt(TICK_NS));
      const sinceTickNs = Number(epochNs % BigInt(TICK_NS));
      this.now = () => Nanoseconds(epochTicks + Math.floor((sinceTickNs + port.now('boottime')) / TICK_NS));
    }
  }

  /** The text of `trace_clock`: every name, this one in brackets. */
  text(): string {
    return `${NAMES.map((name) => (name === this.name ? `[${name}]` : name)).join(' ')}\n`;
  }
}
