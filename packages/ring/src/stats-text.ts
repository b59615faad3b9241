/** The text of `per_cpu/cpuN/stats`. */
import { Nanoseconds } from '@usertrace/base';
import type { ClockText } from './clock-text.ts';
import type { CpuCounts } from './cpu-buffer.ts';

/**
 * The text of `per_cpu/cpuN/stats`.
 *
 * @param counts what happened in the CPU's buffer
 * @param clock the buffer's clock
 * @param now the present time of that clock, since the buffer's epoch
 */
export function statsText(counts: CpuCounts, clock: ClockText, now: Nanoseconds): string {
  const { oldestTime } = counts;
  const oldest = oldestTime === undefined ? clock.zero : clock.statistic(Nanoseconds(oldestTime));
  return [
    `entries: ${counts.entries}\n`,
    `overrun: ${counts.overrun}\n`,
    // Events that interrupt a writer and overtake it: a buffer with one writer has none.
    'commit overrun: 0\n',
    `bytes: ${counts.bytes}\n`,
    `oldest event ts: ${oldest}\n`,
    `now ts: ${clock.statistic(now)}\n`,
    `dropped events: ${counts.dropped}\n`,
    `read events: ${counts.read}\n`,
  ].join('');
}
