/** What engines answer, and how what several of them want becomes one: against real programs. */
import { systemCallNumber } from '@usertrace/abi';
import { Action, type Callbacks, type Engine, Event, openUtrace, SystemCallAction } from '@usertrace/utrace';
import { describe, expect, test } from 'vitest';
import { until } from '../support/wait.ts';
import { needs } from './fixture.ts';
import {
  rejection,
  startTarget,
  stateOf,
  targetProgram,
  tracer,
  untilUndisturbed,
} from './utrace-fixture.ts';

const SYSCALLS = Event.SYSCALL_ENTRY | Event.SYSCALL_EXIT;
const GETPPID = systemCallNumber('getppid');

describe('an engine', () => {
  test('that was detached answers ESRCH to everything, and its task is not touched', async (context) => {
    needs(context, 'cc');
    const target = await startTarget('count');
    const engine = tracer().attachTask(target.pid, {}, Event.QUIESCE);
    await engine.detach();
    for (const call of [
      () => engine.control(Action.STOP),
      () => engine.control(Action.DETACH),
      () => engine.setEvents(0),
      () => engine.barrier(),
      () => engine.stop(),
      () => engine.examine(() => undefined),
    ])
      expect(await rejection(call)).toBe('ESRCH');
    await untilUndisturbed(target.pid);
  });

  test('may not clear DEATH and REAP once their reports began, nor leave or steer a dead task', async (context) => {
    needs(context, 'cc');
    const answers: Record<string, string> = {};
    const note = async (name: string, work: () => unknown): Promise<void> => {
      answers[name] = await rejection(work);
    };
    const group = tracer().spawn(
      { command: targetProgram(), args: ['calls', '1'] },
      {
        death: async (engine) => {
          await note('clear DEATH', () => engine.setEvents(Event.REAP | Event.CLONE));
          await note('clear REAP', () => engine.setEvents(Event.DEATH | Event.CLONE));
          await note('set QUIESCE', () => engine.setEvents(engine.events | Event.QUIESCE));
          await note('RESUME', () => engine.control(Action.RESUME));
          await note('DETACH', () => engine.control(Action.DETACH));
          engine.setEvents(Event.DEATH | Event.REAP);
        },
        reap: (engine) => note('clear REAP at REAP', () => engine.setEvents(Event.DEATH)),
      },
      { events: Event.DEATH | Event.REAP },
    );
    await group.ended();
    await until('all has answered', () => Object.keys(answers).length === 6);
    expect(answers).toEqual({
      'clear DEATH': 'EALREADY',
      'clear REAP': 'none',
      'set QUIESCE': 'EALREADY',
      RESUME: 'ESRCH',
      DETACH: 'EALREADY',
      'clear REAP at REAP': 'EALREADY',
    });
  });

  test('leaves in progress while a callback of it runs, and barrier waits for that', async (context) => {
    needs(context, 'cc');
    const target = await startTarget('count');
    const utrace = tracer({ deadlineMs: 60_000 });
    const answers: ((action: number) => void)[] = [];
    const callbacks: Callbacks = { quiesce: () => new Promise((resolve) => answers.push(resolve)) };
    const engine = utrace.attachTask(target.pid, callbacks, Event.QUIESCE);
    const order: string[] = [];
    engine.control(Action.REPORT);
    await until('the callback runs', () => answers.length === 1);
    expect(engine.setEvents(0)).toBe('EINPROGRESS');
    const barrier = engine.barrier().then(() => order.push('barrier'));
    await new Promise((resolve) => setTimeout(resolve, 20));
    order.push('answer');
    answers[0]?.(Action.STOP);
    await barrier;
    expect(order).toEqual(['answer', 'barrier']);
    // What it answered is done by then.
    expect(engine.task.isStopped && !engine.task.isReporting).toBe(true);
    expect(engine.setEvents(Event.QUIESCE)).toBe('done');
    engine.control(Action.REPORT);
    await until('the callback runs', () => answers.length === 2);
    expect(engine.control(Action.DETACH)).toBe('EINPROGRESS');
    answers[1]?.(Action.RESUME);
    await engine.detach();
    await untilUndisturbed(target.pid);
  });
});

describe('what several engines want', () => {
  test('of a system call is decided by the last that says so', async (context) => {
    needs(context, 'cc');
    const results: number[] = [];
    const decide = (disposition: number | undefined): Callbacks => ({
      syscallEntry: (_, { number }) =>
        number === GETPPID && disposition !== undefined ? Action.RESUME | disposition : undefined,
      syscallExit: (_, { number, errno }) => void (number === GETPPID && results.push(errno)),
    });
    // At an entry the engine that attached first is called last.
    const orders = [
      [SystemCallAction.RUN, SystemCallAction.ABORT],
      [SystemCallAction.ABORT, SystemCallAction.RUN],
      [undefined, SystemCallAction.ABORT],
    ];
    for (const [first, second] of orders) {
      await using utrace = openUtrace();
      const group = utrace.spawn(
        { command: targetProgram(), args: ['calls', '1'] },
        { ...decide(first), exec: ({ task }) => void task.attach(decide(second), Event.SYSCALL_ENTRY) },
        { events: SYSCALLS | Event.EXEC },
      );
      await group.ended();
    }
    expect(results).toEqual([0, 38, 38]);
  });

  test('of the next instruction is the shortest step', async (context) => {
    needs(context, 'cc');
    const target = await startTarget('count');
    const utrace = tracer();
    const steps: bigint[] = [];
    const engine = utrace.attachTask(
      target.pid,
      {
        signal: ({ task }, { isStep }) => {
          if (!isStep) return undefined;
          steps.push(task.examination().registers().get('rip'));
          return Action.STOP;
        },
      },
      Event.SIGNAL | Event.QUIESCE,
    );
    const other = utrace.attachTask(target.pid, {}, Event.QUIESCE);
    await engine.stop();
    const take = async (own: number, others: number): Promise<bigint> => {
      const { length } = steps;
      // Either is asked for while the other still holds it.
      await other.stop();
      engine.control(own);
      other.control(others);
      await until('the step is done', () => steps.length > length && engine.task.isStopped);
      return steps.at(-1) as bigint;
    };
    // The kernel's own instructions do not count: each step ends at another instruction than it began.
    const start = engine.task.examination().registers();
    const addresses = new Set<bigint>();
    for (let count = 0; count < 40; count++) addresses.add(await take(Action.SINGLESTEP, Action.BLOCKSTEP));
    expect(addresses.size).toBeGreaterThan(3);
    expect(start.get('rip')).not.toBe(0n);
    const branches = new Set<bigint>();
    for (let count = 0; count < 10; count++) branches.add(await take(Action.BLOCKSTEP, Action.RESUME));
    expect(branches.size).toBeGreaterThan(0);
    engine.control(Action.DETACH);
    other.control(Action.DETACH);
    await untilUndisturbed(target.pid);
    const before = target.output.lines.length;
    await until('it goes on', () => target.output.lines.length > before + 3);
  });
});

test('the end of the whole process breaks a stop of one of its threads', async (context) => {
  needs(context, 'cc');
  const target = await startTarget('exit-group');
  const ends: (number | undefined)[] = [];
  const group = tracer().attach(
    target.pid,
    { death: (_, { code }) => void ends.push(code) },
    { events: Event.DEATH },
  );
  const thread = [...group.engines.values()].find(({ task }) => task.tid !== target.pid) as Engine;
  await thread.stop();
  expect(stateOf(thread.task.tid)).toBe('t');
  target.send('SIGUSR1');
  await group.ended();
  expect(thread.attachment).toBe('reaped');
  expect(ends).toHaveLength(2);
  expect(await target.output.line(/^status/)).toBe('status 3');
});
