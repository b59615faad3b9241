/** Letting go of a process in which no breakpoints are left. */

import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { ErrnoError } from '@usertrace/base';
import { Action, type Engine, type ProcessEngine, type Task } from '@usertrace/utrace';
import { BREAKPOINT_SIGNAL_BIT } from '../breakpoint/breakpoint-set.ts';

const DEADLINE_MS = 5_000;
const RETRY_MS = 2;

/**
 * Detaches. A thread that ran into a breakpoint just before that was taken away has a SIGILL pending, which would kill it: it is
 * traced until it has met that. Each thread is let go by itself, as soon as it has stopped: another may wait for it in the kernel and
 * not stop before it goes on, as vfork's parent does, and who asks a file system that is served by a process of the same family.
 */
export async function detach(group: ProcessEngine): Promise<void> {
  const isOver = new AbortController();
  const late = delay(DEADLINE_MS, undefined, { signal: isOver.signal }).catch(() => undefined);
  await Promise.race([Promise.all([...group.engines.values()].map(detachThread)), late]);
  isOver.abort();
  await group.detach();
}

async function detachThread(engine: Engine): Promise<void> {
  try {
    for (;;) {
      await engine.stop();
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

function hasPendingSignal({ tid }: Task): boolean {
  try {
    const pending = /^SigPnd:\t([0-9a-f]+)/mu.exec(readFileSync(`/proc/${tid}/status`, 'latin1'))?.[1];
    return (BigInt(`0x${pending ?? 0}`) & BREAKPOINT_SIGNAL_BIT) !== 0n;
  } catch {
    return false;
  }
}
