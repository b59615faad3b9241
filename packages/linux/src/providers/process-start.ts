/** When processes started: with its id that names one for good, because ids are used again. */
import { readFileSync } from 'node:fs';

/** The field of /proc/PID/stat behind the command's name that says when the process started (proc_pid_stat(5)). */
const START_TIME_FIELD = 19;

/**
 * When a process started, in clock ticks since boot.
 *
 * @throws {Error} ENOENT when there is none of this id
 */
export function startTicksOf(pid: number | 'self'): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[START_TIME_FIELD]);
}

/**
 * Whether the process that a provider file is of still runs.
 *
 * @param pid its id
 * @param startTicks when it started, as the file says
 */
export function isProcessRunning(pid: number, startTicks: number): boolean {
  try {
    return startTicksOf(pid) === startTicks;
  } catch {
    return false;
  }
}
