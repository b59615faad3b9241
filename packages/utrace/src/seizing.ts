/** Begins to trace tasks that run: one thread, or all of a process while more are being born. */
import { ErrnoError } from '@usertrace/base';
import type { PtracePort } from './port.ts';
import type { ProcessEngine } from './process-engine.ts';
import { mustBeTraceable, refusal } from './refusal.ts';
import type { Task } from './task.ts';
import type { TaskTable } from './task-table.ts';
import { optionsFor } from './trace-options.ts';

/** A process whose threads make threads all the time is looked through so often. */
const MAX_SCANS = 200;

/**
 * Seizes one thread.
 *
 * @param events bits of Event
 * @throws {ErrnoError} see Utrace.attachTask
 */
export function seizeTask(port: PtracePort, tasks: TaskTable, tid: number, events: number): Task {
  mustBeTraceable(port, tid);
  const options = optionsFor(events, false);
  const answer = port.seize(tid, options);
  if (answer < 0) throw refusal(port, tid, -answer);
  return tasks.add(tid, port.status(tid)?.tgid ?? tid, 'running', options);
}

/**
 * Seizes threads of a process until a look finds none that is not traced; all of them, or none.
 *
 * @param group whose process it is; attached to each
 * @param isThere whether the process is still the one that was meant
 * @throws {ErrnoError} see Utrace.attach
 */
export function seizeThreads(
  port: PtracePort,
  tasks: TaskTable,
  group: ProcessEngine,
  isThere: () => boolean,
): void {
  const seized = new Set<number>();
  group.isSeizing = true;
  const ended = new ErrnoError('ESRCH', `Cannot attach to process ${group.tgid}: it has ended`);
  try {
    for (let scan = 0; scan < MAX_SCANS; scan++) {
      let foundCount = 0;
      for (const tid of port.threads(group.tgid)) {
        if (seized.has(tid) || !seizeThread(port, tasks, tid, group)) continue;
        foundCount += 1;
        seized.add(tid);
      }
      if (!isThere()) throw ended;
      if (foundCount === 0) break;
    }
    group.isSeizing = false;
    if (group.engines.size === 0) throw ended;
  } catch (error) {
    group.isSeizing = false;
    void group.detach();
    throw error;
  }
}

/** Returns whether the thread was attached to; not when it died or is being born to one that is traced. */
function seizeThread(port: PtracePort, tasks: TaskTable, tid: number, group: ProcessEngine): boolean {
  const known = tasks.get(tid);
  if (known !== undefined) return group.attachTo(known) !== undefined;
  if (tid === group.tgid) mustBeTraceable(port, tid);
  const options = optionsFor(group.events, false);
  const answer = port.seize(tid, options);
  if (answer === 0) {
    group.attachTo(tasks.add(tid, group.tgid, 'running', options));
    return true;
  }
  const status = port.status(tid);
  const isDead = status === undefined || status.state === 'Z' || status.state === 'X';
  if (isDead || status.tracerPid === port.ownTid) return false;
  throw refusal(port, tid, -answer);
}
