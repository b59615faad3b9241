/** Letting go of a process in which no breakpoints are left. */

import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { Action, type ProcessEngine, type Task } from '@usertrace/utrace';
import { BREAKPOINT_SIGNAL_BIT } from '../breakpoint/breakpoint-set.ts';

const DEADLINE_MS = 5_000;
const RETRY_MS = 2;

/**
 * Detaches. A thread that ran into a breakpoint just before that was taken away has a SIGILL pending, which would kill it: it is
 * traced until it has met that.
 */
export async function detach(group: ProcessEngine): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS;
  while (group.engines.size > 0 && performance.now() < deadline) {
    await group.stop();
    if (![...group.engines.keys()].some(hasPendingSignal)) break;
    group.control(Action.RESUME);
    await delay(RETRY_MS);
  }
  await group.detach();
}

function hasPendingSignal({ tid }: Task): boolean {
  try {
    const pending = /^SigPnd:\t([0-9a-f]+)/mu.exec(readFileSync(`/proc/${tid}/status`, 'latin1'))?.[1];
    return (BigInt(`0x${pending ?? 0}`) & BREAKPOINT_SIGNAL_BIT) !== 0n;
  } catch {
    return false;
  }
}
