/**
 * How long a process has run on a processor.
 */
import { readdirSync, readFileSync } from 'node:fs';

/**
 * Nanoseconds for which the live threads of a process have run (the kernel's Documentation/scheduler/sched-stats.rst);
 * the kernel counts them exactly, and not by ticks as in /proc/PID/stat.
 *
 * @throws {Error} when the process has ended
 */
export function processorNs(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  const times = threads.map(
    (tid) => readFileSync(`/proc/${pid}/task/${tid}/schedstat`, 'utf8').split(' ')[0],
  );
  return times.map(Number).reduce((sum, time) => sum + time, 0);
}
