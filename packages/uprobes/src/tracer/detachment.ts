/** Letting go of a process in which no breakpoints are left. */

import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { ErrnoError, isInTime } from '@usertrace/base';
import { Action, type Engine, type ProcessEngine, type Task } from '@usertrace/utrace';
import { BREAKPOINT_SIGNAL_BIT } from '../breakpoint/breakpoint-set.ts';

const DEADLINE_MS = 5_000;
const RETRY_MS = 2;
/** How long a thread may wait in the kernel where nothing interrupts it, before nobody waits for it any more. */
const UNINTERRUPTIBLE_MS = 400;
const UNINTERRUPTIBLE = 'D';

/**
 * Detaches. A thread that ran into a breakpoint just before that was taken away has a SIGILL pending, which would kill it: it is
 * traced until it has met that. Each thread is let go by itself, as soon as it has stopped: another may wait for it in the kernel and
 * not stop before it goes on, as vfork's parent does, and who asks a file system that is served by a process of the same family. Such a
 * thread is let go when it stops, or with the end of this process: it has met all signals of its own before it called the kernel.
 */
export async function detach(group: ProcessEngine): Promise<void> {
  await isInTime(Promise.all([...group.engines.values()].map(detachThread)), DEADLINE_MS);
  await group.detach();
}

async function detachThread(engine: Engine): Promise<void> {
  try {
    for (;;) {
      if (!(await stops(engine))) return;
      if (!hasPendingSignal(engine.task)) break;
      engine.control(Action.RESUME);
      await delay(RETRY_MS);
    }
    await engine.detach();
  } catch (error) {
    // It has ended, or was detached when the time was over.
    if (!(error instanceof ErrnoError && (error.code === 'ESRCH' || error.code === 'EALREADY'))) throw error;
  }
}

/** @returns false for a thread that waits where nothing interrupts it */
async function stops(engine: Engine): Promise<boolean> {
  const stop = stopAtLast(engine);
  for (;;) {
    if (await isInTime(stop, UNINTERRUPTIBLE_MS)) return true;
    if (statusField(engine.task, 'State')?.startsWith(UNINTERRUPTIBLE) !== true) continue;
    // Whoever detaches it ends the wait.
    stop.catch(() => undefined);
    return false;
  }
}

/** Stops it, also when the callback of a hit that was under way lets it go on once more. */
async function stopAtLast(engine: Engine): Promise<void> {
  for (;;) {
    try {
      await engine.stop();
      return;
    } catch (error) {
      if (!(error instanceof ErrnoError && error.code === 'EAGAIN')) throw error;
    }
  }
}

function hasPendingSignal(task: Task): boolean {
  return (BigInt(`0x${statusField(task, 'SigPnd') ?? 0}`) & BREAKPOINT_SIGNAL_BIT) !== 0n;
}

/** A field of proc_pid_status(5). */
function statusField({ tid }: Task, name: string): string | undefined {
  try {
    return new RegExp(`^${name}:\\t(.*)$`, 'mu').exec(readFileSync(`/proc/${tid}/status`, 'latin1'))?.[1];
  } catch {
    return undefined;
  }
}
