/** Events as a watcher makes them, for tests of the outputs. */
import type { EnteredCall, ReturnEvent, WatchedTask, WatchEvent } from './watch-event.ts';

export const MAIN: WatchedTask = { tid: 100, pid: 100, comm: 'main' };
export const WORKER: WatchedTask = { tid: 101, pid: 100, comm: 'worker' };

/** A call that was entered at a time in microseconds. */
export function call(task: WatchedTask, atUs: number, name = 'read', args = ['3']): EnteredCall {
  return { task, enteredNs: BigInt(atUs) * 1000n, number: 0, name, args, isFinal: name === 'exit_group' };
}

export function entered(of: EnteredCall): WatchEvent {
  return { kind: 'enter', task: of.task, timeNs: of.enteredNs, call: of };
}

/** Its answer, so many microseconds later. */
export function answered(of: EnteredCall, afterUs: number, result: number, errno = 0): ReturnEvent {
  const { task, number, name, enteredNs } = of;
  const timeNs = enteredNs + BigInt(afterUs) * 1000n;
  return { kind: 'return', task, timeNs, call: of, number, name, result: BigInt(result), errno };
}

export function forked(task: WatchedTask, atUs: number, child: number): WatchEvent {
  return { kind: 'clone', task, timeNs: BigInt(atUs) * 1000n, how: 'fork', child };
}
