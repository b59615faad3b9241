/** Tracers one after the other, and what is left when engines and tracers go. */
import { readdirSync } from 'node:fs';
import { systemCallNumber } from '@usertrace/abi';
import { Action, Event, openUtrace } from '@usertrace/utrace';
import { describe, expect, test } from 'vitest';
import { until } from '../support/wait.ts';
import { SCALE, needs } from './fixture.ts';
import {
  counting,
  disturbedThreads,
  rejection,
  startTarget,
  stateOf,
  statusField,
  targetProgram,
  tracer,
  untilUndisturbed,
} from './utrace-fixture.ts';

const SYSCALLS = Event.SYSCALL_ENTRY | Event.SYSCALL_EXIT;
const GETPID = systemCallNumber('getpid');

describe('one thread', () => {
  test('traces one program after the other, each with a tracer of its own', async (context) => {
    needs(context, 'cc');
    for (let round = 0; round < 50 * SCALE; round++) {
      const { callbacks, counts } = counting();
      await using utrace = openUtrace();
      const group = utrace.spawn({ command: targetProgram(), args: ['calls', '5'] }, callbacks, {
        events: Event.EXEC | Event.DEATH | Event.SYSCALL_EXIT,
      });
      await group.ended();
      expect(counts).toMatchObject({ exec: 1, death: 1 });
    }
  });

  test('has one tracer at a time, and says so', async () => {
    const first = tracer();
    expect(() => openUtrace()).toThrow('Cannot make this thread a tracer: it is one');
    await first.close();
    tracer();
  });

  test('runs its timers after a callback made a sleeping program call the system', async (context) => {
    needs(context, 'cc');
    const target = await startTarget('sleep-once', '600000');
    const utrace = tracer();
    const answers: bigint[] = [];
    const group = utrace.attach(
      target.pid,
      {
        quiesce: ({ task }) => {
          answers.push(task.examination().systemCall(GETPID, []));
          return answers.length % 5 === 0 ? Action.RESUME : Action.INTERRUPT;
        },
      },
      { events: Event.QUIESCE },
    );
    for (let round = 1; round <= 10; round++) {
      group.control(Action.INTERRUPT);
      await until('it was examined', () => answers.length >= 5 * round);
    }
    expect(new Set(answers)).toEqual(new Set([BigInt(target.pid)]));
    await group.detach();
  });
});

describe('a process', () => {
  test('whose threads were detached from one by one stops nobody, and has ended for its engines', async (context) => {
    needs(context, 'cc');
    const target = await startTarget('count');
    const utrace = tracer();
    const watching = utrace.attach(target.pid, {}, { events: SYSCALLS });
    const leaving = utrace.attach(target.pid, { quiesce: () => Action.DETACH }, { events: Event.QUIESCE });
    await leaving.stop();
    await leaving.ended();
    expect(await rejection(() => leaving.stop())).toBe('ESRCH');
    expect(leaving.engines.size).toBe(0);
    await watching.detach();
    await untilUndisturbed(target.pid);
  });
});

test('close() lets go of a process whose leader has ended, and its parent still sees the end', async (context) => {
  needs(context, 'cc');
  const target = await startTarget('dead-leader');
  const utrace = openUtrace();
  const group = utrace.attach(target.pid, {}, { events: Event.DEATH });
  expect(group.engines.size).toBe(2);
  target.send('SIGUSR1');
  await until('the leader is dead', () => stateOf(target.pid) === 'Z');
  await utrace.close();
  const others = readdirSync(`/proc/${target.pid}/task`).filter((tid) => Number(tid) !== target.pid);
  expect(others.map((tid) => statusField(Number(tid), 'TracerPid'))).toEqual(['0']);
  const ends: (number | undefined)[] = [];
  const later = tracer().spawn(
    { command: targetProgram(), args: ['generations', '3'] },
    { death: (_, { code }) => void ends.push(code) },
    { events: Event.DEATH, follow: true },
  );
  await later.ended();
  expect(ends).toEqual([5, 5, 5, 5]);
  target.send('SIGKILL');
  expect(await target.output.line(/^status/)).toBe('status 137');
  expect(stateOf(target.pid)).toBeUndefined();
});

test('await using lets go of an engine, of a process and of a tracer', async (context) => {
  needs(context, 'cc');
  const target = await startTarget('count');
  {
    await using utrace = openUtrace();
    {
      await using engine = utrace.attachTask(target.pid, {}, 0);
      await engine.stop();
      expect(stateOf(target.pid)).toBe('t');
    }
    await untilUndisturbed(target.pid);
    {
      await using group = utrace.attach(target.pid, {}, { events: 0 });
      await group.stop();
    }
    await untilUndisturbed(target.pid);
    await utrace.attachTask(target.pid, {}, 0).stop();
  }
  expect(disturbedThreads(target.pid)).toEqual([]);
});

test('an engine that leaves in the middle of a step takes the step’s own SIGTRAP with it', async (context) => {
  needs(context, 'cc');
  const utrace = tracer();
  for (let round = 0; round < 30 * SCALE; round++) {
    const target = await startTarget('count');
    let steps = 0;
    const engine = utrace.attachTask(
      target.pid,
      {
        quiesce: (_, event) => (event === 0 ? step(round) : undefined),
        signal: (_, { isStep }) => (isStep ? (steps++, step(round)) : undefined),
      },
      Event.SIGNAL | Event.QUIESCE,
    );
    engine.control(Action.REPORT);
    await until('it steps', () => steps > 100 + 7 * round);
    // The interruption for this may be told before the trap of a step that was done already.
    await engine.detach();
    await untilUndisturbed(target.pid);
    const { length } = target.output.lines;
    await until('it goes on', () => target.output.lines.length > length + 3);
    target.send('SIGKILL');
    await target.output.line(/^status 137/);
  }
});

/** Single steps and block steps in turn. */
function step(round: number): number {
  return round % 2 === 0 ? Action.SINGLESTEP : Action.BLOCKSTEP;
}
