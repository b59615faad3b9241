/**
 * The system's clocks. CLOCK_MONOTONIC, which everything here measures with, comes from Node and counts from when this
 * program started; the others from clock_gettime(2).
 */
import { Nanoseconds } from '@usertrace/base';
import { checked, libc } from './bindings.ts';

/** What CLOCK_MONOTONIC showed, in nanoseconds, at instant 0 of `monotonicNow()`. */
export const MONOTONIC_EPOCH_NS: bigint = process.hrtime.bigint();

/** The instant now, in nanoseconds since `MONOTONIC_EPOCH_NS`. Costs about 40 ns. */
export function monotonicNow(): Nanoseconds {
  return Nanoseconds(Number(process.hrtime.bigint() - MONOTONIC_EPOCH_NS));
}

/** Clocks of clock_gettime(2) by their numbers (linux/time.h). */
const CLOCK_ID = { monotonic: 1, 'monotonic-raw': 4, boottime: 7, tai: 11 } as const;

const timespec = new BigInt64Array(2);

/**
 * What a clock shows.
 *
 * @param clock one of `CLOCK_ID`
 * @returns nanoseconds since the clock's own beginning
 */
export function clockTime(clock: keyof typeof CLOCK_ID): bigint {
  checked(libc().clock_gettime(CLOCK_ID[clock], timespec), `read clock ${clock}`);
  return (timespec[0] ?? 0n) * 1_000_000_000n + (timespec[1] ?? 0n);
}
