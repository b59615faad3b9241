import { readFileSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { PTRACE } from '@usertrace/abi';
import { expect, it, onTestFinished } from 'vitest';
import { type StopListener, StopWaiter } from './stop-waiter.ts';
import { SystemTracer } from './tracer.ts';

/** Notes of whom it is told. */
function notingListener(): StopListener & { readonly tids: number[] } {
  const tids: number[] = [];
  return {
    tids,
    handle: (tid) => void tids.push(tid),
    lookAgain: () => undefined,
    hasRunningTasks: () => false,
    takeYield: () => false,
  };
}

it('StopWaiter takes nothing from another one once it was stopped, though a turn was under way', async () => {
  const [former, current] = [notingListener(), notingListener()];
  const tracer = new SystemTracer(current);
  onTestFinished(() => tracer.close());
  const waiter = new StopWaiter(former);
  onTestFinished(() => waiter.close());
  const pid = tracer.launch({ command: 'true' }, 0);
  waiter.start();
  waiter.stop();
  tracer.resume(pid, PTRACE.CONT, 0);
  while (!readFileSync(`/proc/${pid}/stat`, 'latin1').includes(') Z ')) void 0;
  await setImmediate();
  expect(former.tids).toEqual([]);
  tracer.watch();
  while (current.tids.length === 0) await setImmediate();
  expect(current.tids).toEqual([pid]);
  tracer.unwatch();
});
