/** Children and execs of traced programs. */
import { systemCallNumber } from '@usertrace/abi';
import { type Engine, Event } from '@usertrace/utrace';
import { describe, expect, test } from 'vitest';
import { until } from '../support/wait.ts';
import { SCALE, needs } from './fixture.ts';
import { targetProgram, tracer } from './utrace-fixture.ts';

const SYSCALLS = Event.SYSCALL_ENTRY | Event.SYSCALL_EXIT;

describe('children', () => {
  test('of every generation are followed, and each is seen to its end', async (context) => {
    needs(context, 'cc');
    const utrace = tracer();
    const ends: (number | undefined)[] = [];
    const group = utrace.spawn(
      { command: targetProgram(), args: ['generations', '20'] },
      { death: (_, end) => void ends.push(end.code) },
      { events: Event.DEATH, follow: true },
    );
    await group.ended();
    expect(ends).toEqual(Array.from({ length: 21 }, () => 5));
  });

  test('made by fork and vfork, many in a second, are all seen', async (context) => {
    needs(context, 'cc');
    const utrace = tracer();
    const count = 500 * SCALE;
    const kinds: Record<string, number> = {};
    const ends: Record<string, number> = {};
    const first: number[] = [];
    const group = utrace.spawn(
      { command: targetProgram(), args: ['children', String(count)] },
      {
        clone: (_, child, { kind }) => {
          kinds[kind] = (kinds[kind] ?? 0) + 1;
          if (first.length < 3) first.push(child.engines.length);
        },
        death: (_, { code }) => void (ends[String(code)] = (ends[String(code)] ?? 0) + 1),
      },
      { events: Event.CLONE | Event.DEATH, follow: true },
    );
    await group.ended();
    expect(kinds).toEqual({ fork: count / 2, vfork: count / 2 });
    expect(ends).toEqual({ 7: count, 0: 1 });
    expect(first).toEqual([1, 1, 1]);
  });

  test('can be attached to before their first instruction', async (context) => {
    needs(context, 'cc');
    const utrace = tracer();
    const calls: string[] = [];
    const group = utrace.spawn(
      { command: targetProgram(), args: ['children', '1'] },
      {
        clone: (_, child) => {
          child.attach(
            { syscallEntry: (__, call) => void calls.push(`${call.number}`) },
            Event.SYSCALL_ENTRY,
          );
        },
      },
      { events: Event.CLONE },
    );
    await group.ended();
    await until('the child has ended', () => utrace.taskCount === 0);
    expect(calls.at(-1)).toBe(String(systemCallNumber('exit_group')));
  });
});

describe('exec', () => {
  test('by a thread that is not the leader keeps its engines, and ends the others', async (context) => {
    needs(context, 'cc');
    const utrace = tracer();
    const log: string[] = [];
    const name = (engine: Engine): string =>
      engine === first ? 'leader' : engine === third ? 'executing' : 'other';
    let first: Engine | undefined;
    let third: Engine | undefined;
    const group = utrace.spawn(
      { command: targetProgram(), args: ['exec-in-thread'] },
      {
        exec: (engine, formerTid) => {
          if (first === undefined) first = engine;
          else {
            third = engine;
            log.push(`exec ${engine.task.tid === group.tgid} ${formerTid !== group.tgid}`);
          }
        },
        death: (engine) => void log.push(`death of ${name(engine)}`),
        reap: (engine) => void log.push(`reap of ${name(engine)}`),
      },
      { events: Event.EXEC | Event.DEATH | Event.REAP },
    );
    await group.ended();
    expect(log.filter((line) => line.startsWith('death')).toSorted()).toEqual([
      'death of executing',
      'death of leader',
      'death of other',
    ]);
    expect(log.slice(-3)).toEqual(['exec true true', 'death of executing', 'reap of executing']);
    expect(log.indexOf('death of leader')).toBeLessThan(log.indexOf('exec true true'));
  });

  test('that fails is a call like any other', async (context) => {
    needs(context, 'cc');
    const utrace = tracer();
    const results: number[] = [];
    let execs = 0;
    const group = utrace.spawn(
      { command: targetProgram(), args: ['exec-fails'] },
      {
        exec: () => void (execs += 1),
        syscallExit: (_, call) => void (call.number === 59 && results.push(call.result)),
      },
      { events: Event.EXEC | SYSCALLS },
    );
    await group.ended();
    expect(execs).toBe(1);
    expect(results).toEqual([0, -2]);
  });
});
