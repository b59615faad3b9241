/** The machine that a server runs on: its clocks and CPUs. */
import { availableParallelism } from 'node:os';
import { Cpu, Nanoseconds } from '@usertrace/base';
import { clockTime, libc, MONOTONIC_EPOCH_NS, monotonicNow } from '@usertrace/linux';
import type { ClockPort, ClockSource } from './instance-clock.ts';

export const CPU_COUNT: number = Math.max(1, availableParallelism());

/**
 * The CPU this thread runs on. The kernel wakes a server of a request near its sender, and asking for the sender's own
 * CPU would cost more than recording the event.
 */
export function currentCpu(): Cpu {
  return Cpu(Math.min(libc().sched_getcpu(), CPU_COUNT - 1));
}

/** What each clock showed when this program started counting. */
const EPOCH_NS: Record<ClockSource, bigint> = {
  monotonic: MONOTONIC_EPOCH_NS,
  'monotonic-raw': clockTime('monotonic-raw'),
  boottime: clockTime('boottime'),
  tai: clockTime('tai'),
};

/** The clocks, counted from when this program started. */
export const SYSTEM_CLOCKS: ClockPort = {
  now: (source) =>
    source === 'monotonic' ? monotonicNow() : Nanoseconds(Number(clockTime(source) - EPOCH_NS[source])),
  epochNs: (source) => EPOCH_NS[source],
};
