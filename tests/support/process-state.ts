/** What /proc says of threads: whether they run, and who traces them. */
import { readdirSync, readFileSync } from 'node:fs';

/** A field of /proc/TID/status. */
export function statusField(tid: number, name: string): string | undefined {
  try {
    return new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(readFileSync(`/proc/${tid}/status`, 'latin1'))?.[1];
  } catch {
    return undefined;
  }
}

/** The letter of a task's state, or undefined when there is none. */
export function stateOf(tid: number): string | undefined {
  return statusField(tid, 'State')?.charAt(0);
}

/** Threads of a process that are traced, or stopped. */
export function disturbedThreads(pid: number): string[] {
  let tids: string[];
  try {
    tids = readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
  return tids.filter((tid) => {
    const state = stateOf(Number(tid));
    return (statusField(Number(tid), 'TracerPid') ?? '0') !== '0' || state === 't' || state === 'T';
  });
}

/** Children of a process that have ended and were not waited for. */
export function zombiesOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim();
  const children = text === '' ? [] : text.split(' ').map(Number);
  return children.filter((child) => stateOf(child) === 'Z');
}
