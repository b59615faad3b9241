/** Rules of Utrace that need a certain order of what happens, over the simulated kernel. */
import { expect, it } from 'vitest';
import { Action, Event, Utrace } from './index.ts';
import { SimKernel } from './kernel.sim.ts';
import type { SimThread } from './threads.sim.ts';

const CLOCK = { after: () => ({ cancel: () => undefined }) };

/** A process of two threads, and a tracer. */
function twoThreads(): { kernel: SimKernel; utrace: Utrace; leader: SimThread; other: SimThread } {
  const kernel = new SimKernel();
  const leader = kernel.makeProcess();
  kernel.step(leader, 'thread', 0);
  const other = kernel.threadsAlive.find((thread) => thread !== leader) as SimThread;
  return { kernel, utrace: new Utrace(() => kernel, {}, CLOCK), leader, other };
}

/** A thread that is not the leader executes a program, which ends the leader. */
function executeIn(kernel: SimKernel, other: SimThread, leader: SimThread): void {
  kernel.step(other, 'exec', 0);
  while (leader.state === 'running') kernel.step(leader, 'call', 1);
  kernel.step(other, 'call', 0);
}

/** Tells all that has happened. */
function tell(kernel: SimKernel, utrace: Utrace): void {
  for (let one; (one = kernel.wait(0)) !== undefined; ) utrace.handle(one.tid, one.status);
}

it('a leader traced alone is seen to end when another thread executes a program', () => {
  const { kernel, utrace, leader, other } = twoThreads();
  const seen: string[] = [];
  const engine = utrace.attachTask(
    leader.tid,
    { death: () => void seen.push('death'), reap: () => void seen.push('reap') },
    Event.DEATH | Event.REAP,
  );
  executeIn(kernel, other, leader);
  tell(kernel, utrace);
  utrace.lookAgain();
  expect(seen).toEqual(['death', 'reap']);
  expect(() => engine.control(Action.RESUME)).toThrow(/reaped/);
  expect(utrace.taskCount).toBe(0);
  expect(other).toMatchObject({ state: 'running', isTraced: false });
});

it('a leader traced alone goes on being traced when nothing was executed', () => {
  const { kernel, utrace, leader } = twoThreads();
  const engine = utrace.attachTask(leader.tid, {}, Event.DEATH);
  utrace.lookAgain();
  tell(kernel, utrace);
  expect(engine.attachment).toBe('attached');
  expect(leader.isTraced).toBe(true);
});

it('a resume for a leader whose number an executing thread has by then does not end that thread’s stop', () => {
  const { kernel, utrace, leader, other } = twoThreads();
  const seen: string[] = [];
  const callbacks = {
    exec: (_: unknown, formerTid: number) => void seen.push(`exec ${formerTid}`),
    death: () => void seen.push('death'),
  };
  const group = utrace.attach(leader.tid, callbacks, { events: Event.EXEC | Event.DEATH });
  const [engine] = group.engines.values();
  const formerTid = other.tid;
  engine?.control(Action.STOP);
  kernel.step(leader, 'call', 0);
  tell(kernel, utrace);
  expect(engine?.task.state).toBe('stopped');
  executeIn(kernel, other, leader);
  expect(() => engine?.control(Action.RESUME)).not.toThrow();
  tell(kernel, utrace);
  expect(kernel.untoldStopsEnded).toBe(0);
  expect(seen).toEqual(['death', `exec ${formerTid}`]);
  expect(engine?.attachment).toBe('reaped');
});

it('a callback that asks for one more report gets it, while the task runs in between', () => {
  const { kernel, utrace, leader } = twoThreads();
  let reports = 0;
  const quiesce = (): number => (++reports < 4 ? Action.REPORT : Action.RESUME);
  utrace.attachTask(leader.tid, { quiesce }, Event.QUIESCE).control(Action.REPORT);
  for (let turn = 0; turn < 10; turn++) {
    kernel.step(leader, 'call', 0);
    tell(kernel, utrace);
  }
  expect(reports).toBe(4);
  expect(leader).toMatchObject({ state: 'running', isTraced: true });
});
