/**
 * What tools over ptrace(2) are known to get wrong, as strace's own tests and its manual page name it. The first four of the list
 * are in utrace-attach.system.ts and utrace-children.system.ts: attaching to a stopped process, a signal that comes with the
 * attach, an invented SIGSTOP, a grandchild that is missed.
 */
import { Event } from '@usertrace/utrace';
import { expect, test } from 'vitest';
import { until } from '../support/wait.ts';
import { needs } from './fixture.ts';
import { startTarget, stateOf, targetProgram, tracer, untilUndisturbed } from './utrace-fixture.ts';

const SYSCALLS = Event.SYSCALL_ENTRY | Event.SYSCALL_EXIT;

test('a SIGTRAP that a program sends itself reaches it, and is not taken for a system call or a step', async (context) => {
  needs(context, 'cc');
  const ends: (number | undefined)[] = [];
  const signals: boolean[] = [];
  let entries = 0;
  let exits = 0;
  const group = tracer().spawn(
    { command: targetProgram(), args: ['traps', '9'] },
    {
      signal: (_, { isStep }) => void signals.push(isStep),
      syscallEntry: () => void (entries += 1),
      syscallExit: () => void (exits += 1),
      death: (_, { code }) => void ends.push(code),
    },
    { events: SYSCALLS | Event.SIGNAL | Event.DEATH },
  );
  await group.ended();
  expect(ends).toEqual([9]);
  expect(signals).toEqual(Array.from({ length: 9 }, () => false));
  // From the exit of its execve to the entry of its exit_group.
  expect(exits).toBe(entries);
});

test('a sleep that is traced goes on after SIGSTOP and SIGCONT, and its calls have numbers', async (context) => {
  needs(context, 'cc');
  const target = await startTarget('sleep-once', '1500');
  const numbers = new Set<number>();
  const group = tracer().attach(
    target.pid,
    {
      syscallEntry: (_, { number }) => void numbers.add(number),
      syscallExit: (_, { number }) => void numbers.add(number),
    },
    { events: SYSCALLS | Event.SIGNAL | Event.JOB_CONTROL },
  );
  target.send('SIGSTOP');
  await until('it is stopped', () => 'tTZ'.includes(stateOf(target.pid) ?? 'Z'));
  target.send('SIGCONT');
  expect(await target.output.line(/^slept/)).toBe('slept whole 1');
  await group.ended();
  expect(numbers.size).toBeGreaterThan(1);
  expect([...numbers].filter((number) => number < 0)).toEqual([]);
});

test('a child that its parent’s parent gets (CLONE_PARENT) is followed like any other', async (context) => {
  needs(context, 'cc');
  const ends: (number | undefined)[] = [];
  const group = tracer().spawn(
    { command: targetProgram(), args: ['sibling'] },
    { death: (_, { code }) => void ends.push(code) },
    { events: Event.DEATH, follow: true },
  );
  await group.ended();
  expect(new Set(ends)).toEqual(new Set([5, 6, 11]));
  expect(ends).toHaveLength(3);
});

test('a process whose leader has ended is attached to by its other threads', async (context) => {
  needs(context, 'cc');
  const target = await startTarget('dead-leader');
  target.send('SIGUSR1');
  await until('the leader is dead', () => stateOf(target.pid) === 'Z');
  const group = tracer().attach(target.pid, {}, { events: SYSCALLS });
  expect([...group.engines.keys()].map(({ tid }) => tid)).not.toContain(target.pid);
  expect(group.engines.size).toBe(1);
  await group.stop();
  await group.detach();
  await untilUndisturbed(target.pid);
  target.send('SIGKILL');
  expect(await target.output.line(/^status/)).toBe('status 137');
});

test('a tracer that lets go in the middle of calls, sleeps and stops leaves each as it was', async (context) => {
  needs(context, 'cc');
  const target = await startTarget('count');
  const utrace = tracer();
  for (let round = 0; round < 20; round++) {
    const group = utrace.attach(target.pid, {}, { events: round % 2 === 0 ? SYSCALLS : Event.SIGNAL });
    if (round % 3 === 0) await group.stop();
    await group.detach();
    await utrace.untilEmpty();
    await untilUndisturbed(target.pid);
  }
  const ticks = target.output.lines
    .filter((line) => line.startsWith('tick'))
    .map((line) => Number(line.slice(5)));
  expect(ticks).toEqual(ticks.map((_, index) => index + 1));
});
