/** Several engines on one program: their order, their wishes, their answers and deadlines. */
import { systemCallNumber } from '@usertrace/abi';
import { Action, type Callbacks, Event, SystemCallAction } from '@usertrace/utrace';
import { describe, expect, test } from 'vitest';
import { until } from '../support/wait.ts';
import { needs } from './fixture.ts';
import { rejection, startTarget, stateOf, targetProgram, tracer } from './utrace-fixture.ts';

const SYSCALLS = Event.SYSCALL_ENTRY | Event.SYSCALL_EXIT;
const GETPPID = systemCallNumber('getppid');

describe('engines', () => {
  test('are called in the order they attached, and in reverse at a system call entry; a new one misses the event', async (context) => {
    needs(context, 'cc');
    const utrace = tracer();
    const order: string[] = [];
    const note = (name: string): Callbacks => ({
      syscallEntry: (_, call) => void (call.number === GETPPID && order.push(`${name} entry`)),
      syscallExit: (_, call) => void (call.number === GETPPID && order.push(`${name} exit`)),
    });
    let hasAdded = false;
    const group = utrace.spawn(
      { command: targetProgram(), args: ['calls', '2'] },
      {
        ...note('a'),
        exec: (engine) => void engine.task.attach(note('b'), SYSCALLS),
        syscallEntry: (engine, call) => {
          if (call.number !== GETPPID) return;
          order.push('a entry');
          if (!hasAdded) engine.task.attach(note('c'), SYSCALLS);
          hasAdded = true;
        },
      },
      { events: SYSCALLS | Event.EXEC },
    );
    await group.ended();
    expect(order.slice(0, 5)).toEqual(['b entry', 'a entry', 'a exit', 'b exit', 'c exit']);
    expect(order.slice(5)).toEqual(['c entry', 'b entry', 'a entry', 'a exit', 'b exit', 'c exit']);
  });

  test('that watch calls and that single-step get on together', async (context) => {
    needs(context, 'cc');
    const utrace = tracer();
    let steps = 0;
    let isStepping = false;
    const calls: string[] = [];
    const stepper: Callbacks = {
      signal: (_, { isStep }) => {
        if (!isStep) return undefined;
        steps += 1;
        return isStepping ? Action.SINGLESTEP : Action.RESUME;
      },
    };
    const group = utrace.spawn(
      { command: targetProgram(), args: ['calls', '12'] },
      {
        exec: (engine) => void engine.task.attach(stepper, Event.SIGNAL | Event.QUIESCE),
        syscallEntry: (_, call) => void (call.number === GETPPID && calls.push('entry')),
        syscallExit: (engine, call) => {
          if (call.number !== GETPPID) return;
          calls.push('exit');
          isStepping = calls.length >= 4 && calls.length < 20;
          const [, other] = engine.task.engines;
          if (calls.length === 4 && other !== undefined) other.control(Action.SINGLESTEP);
        },
        death: (_, { code }) => void calls.push(`ended ${code}`),
      },
      { events: SYSCALLS | Event.EXEC | Event.DEATH },
    );
    await group.ended();
    expect(calls).toEqual([...Array.from({ length: 12 }, () => ['entry', 'exit']).flat(), 'ended 0']);
    expect(steps).toBeGreaterThan(8 * 4);
  });

  test('that are alone watch calls and single-step both', async (context) => {
    needs(context, 'cc');
    const utrace = tracer();
    const calls: string[] = [];
    let steps = 0;
    const isStepping = (): boolean => calls.length >= 4 && calls.length < 20;
    const group = utrace.spawn(
      { command: targetProgram(), args: ['calls', '12'] },
      {
        signal: (_, { isStep }) => {
          if (isStep) steps += 1;
          return isStep && isStepping() ? Action.SINGLESTEP : undefined;
        },
        syscallEntry: (_, call) => void (call.number === GETPPID && calls.push('entry')),
        syscallExit: (_, call) => {
          if (call.number === GETPPID) calls.push('exit');
          return isStepping() ? Action.SINGLESTEP : undefined;
        },
        death: (_, { code }) => void calls.push(`ended ${code}`),
      },
      { events: SYSCALLS | Event.SIGNAL | Event.DEATH },
    );
    await group.ended();
    expect(calls).toEqual([...Array.from({ length: 12 }, () => ['entry', 'exit']).flat(), 'ended 0']);
    expect(steps).toBeGreaterThan(8 * 4);
  });

  test('that are alone choose other events in a callback, from the next one on', async (context) => {
    needs(context, 'cc');
    const utrace = tracer();
    const seen: string[] = [];
    const group = utrace.spawn(
      { command: targetProgram(), args: ['calls', '12'] },
      {
        syscallEntry: (engine, call) => {
          if (call.number !== GETPPID) return;
          seen.push('entry');
          if (seen.length === 3) engine.setEvents(Event.EXIT | Event.DEATH);
        },
        syscallExit: (_, call) => void (call.number === GETPPID && seen.push('exit')),
        exit: () => void seen.push('exits'),
        death: () => void seen.push('dead'),
      },
      { events: SYSCALLS | Event.DEATH },
    );
    await group.ended();
    expect(seen).toEqual(['entry', 'exit', 'entry', 'exits', 'dead']);
  });

  test('can be twenty on one process', async (context) => {
    needs(context, 'cc');
    const utrace = tracer();
    const seen = Array.from({ length: 20 }, () => 0);
    const group = utrace.spawn(
      { command: targetProgram(), args: ['calls', '100'] },
      {
        exec: (engine) => {
          for (const index of seen.keys())
            engine.task.attach(
              {
                syscallExit: (_, call) =>
                  void (call.number === GETPPID && (seen[index] = (seen[index] ?? 0) + 1)),
              },
              SYSCALLS,
            );
        },
      },
      { events: Event.EXEC },
    );
    await group.ended();
    expect(seen).toEqual(Array.from({ length: 20 }, () => 100));
  });

  test('keep a task stopped until the one that asked lets go', async (context) => {
    needs(context, 'cc');
    const target = await startTarget('count');
    const utrace = tracer();
    const one = utrace.attach(target.pid, {}, { events: 0 });
    const other = utrace.attach(target.pid, {}, { events: Event.QUIESCE });
    await Promise.all([one.stop(), other.stop()]);
    other.control(Action.RESUME);
    other.control(Action.INTERRUPT);
    await other.barrier();
    expect(stateOf(target.pid)).toBe('t');
    const before = target.output.lines.length;
    one.control(Action.RESUME);
    await until('it goes on', () => target.output.lines.length > before + 5);
  });

  test('answer what the kernel answered', async (context) => {
    needs(context, 'cc');
    const target = await startTarget('count');
    const utrace = tracer();
    const engine = utrace.attachTask(target.pid, {}, 0);
    expect(await rejection(() => engine.control(99))).toBe('EINVAL');
    expect(await rejection(() => engine.control(Action.REPORT))).toBe('EINVAL');
    expect(await rejection(() => engine.examine(() => undefined))).toBe('EINVAL');
    expect(engine.setEvents(Event.QUIESCE)).toBe('done');
    expect(await rejection(() => engine.control(Action.SINGLESTEP))).toBe('EAGAIN');
    expect(engine.control(Action.STOP)).toBe('EINPROGRESS');
    await engine.stop();
    expect(engine.control(Action.STOP)).toBe('done');
    const moved = engine.examine(async () => {
      target.send('SIGKILL');
      await until('it is dead', () => engine.attachment === 'reaped');
    });
    expect(await rejection(() => moved)).toBe('EAGAIN');
    for (const call of [
      () => engine.control(Action.RESUME),
      () => engine.setEvents(0),
      () => engine.barrier(),
      () => engine.examine(() => undefined),
    ])
      expect(await rejection(call)).toBe('ESRCH');
    expect(engine.references).toBe(1);
  });

  test('that answer too late are told, and the task goes on', async (context) => {
    needs(context, 'cc');
    const utrace = tracer({ deadlineMs: 50 });
    const overdue: number[] = [];
    const answers: ((action: number) => void)[] = [];
    const group = utrace.spawn(
      { command: targetProgram(), args: ['calls', '10'] },
      {
        exec: () => new Promise((resolve) => answers.push(resolve)),
        overdue: (_, event) => void overdue.push(event),
      },
      { events: Event.EXEC },
    );
    const [engine] = group.engines.values();
    expect(engine?.setEvents(Event.CLONE)).toBe('EINPROGRESS');
    await until('it has ended in spite of that', () => utrace.taskCount === 0);
    expect(overdue).toEqual([Event.EXEC]);
    answers[0]?.(Action.STOP);
    await group.ended();
  });

  test('end a system call before it is made', async (context) => {
    needs(context, 'cc');
    const utrace = tracer();
    const results: number[] = [];
    const group = utrace.spawn(
      { command: targetProgram(), args: ['calls', '3'] },
      {
        syscallEntry: (_, call) =>
          call.number === GETPPID ? Action.RESUME | SystemCallAction.ABORT : undefined,
        syscallExit: (_, call) => void (call.number === GETPPID && results.push(call.errno)),
      },
      { events: SYSCALLS },
    );
    await group.ended();
    expect(results).toEqual([38, 38, 38]);
  });
});
