/** `usertrace watch` on programs of which other tools take a false view. */
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { finish } from '../support/child.ts';
import { USERTRACE } from '../support/server.ts';
import { until } from '../support/wait.ts';
import { needs } from './fixture.ts';
import { startCommand, targetProgram } from './utrace-fixture.ts';
import { rows, temporaryFolder, watch } from './watch-fixture.ts';

test('calls of i386 are not shown by the names and arguments of x86-64', async (context) => {
  needs(context, 'cc');
  const command = [targetProgram(), 'i386'];
  const alone = await finish(targetProgram(), ['i386']);
  if (alone.status !== 5) context.skip('a kernel that runs calls of i386');
  const calls = (await rows('-e', 'syscall', '--', ...command)).filter(({ name }) => name === 'i386_20');
  expect(calls).toHaveLength(1);
  expect(calls[0]).toMatchObject({ number: 20, result: calls[0]?.pid, error: null });
  for (const argument of calls.flatMap(({ args }) => args as string[]))
    expect(argument).toMatch(/^0x[0-9a-f]+$/);
  // 20 is writev on x86-64.
  const chosen = await rows('--no-filter', '-e', 'syscall:writev', '--', ...command);
  expect(chosen.filter(({ event }) => event === 'syscall')).toEqual([]);
  expect((await rows('-e', 'syscall:writev', '--', ...command)).length).toBe(0);
});

test('a command that is traced from its birth is not watched, and the tracer named', async (context) => {
  needs(context, 'strace');
  const file = path.join(temporaryFolder(), 'strace.txt');
  const command = [process.execPath, USERTRACE, 'watch', '--', 'true'];
  const { status, stderr } = await finish('strace', [
    '-f',
    '-qq',
    '-e',
    'trace=none',
    '-o',
    file,
    ...command,
  ]);
  expect(status).toBe(126);
  expect(stderr).toMatch(
    /Cannot start "true": strace \(process \d+\) traces this process and all that it starts/,
  );
});

test('a thread’s number is told from a process’s', async () => {
  const target = await startCommand(process.execPath, '-e', 'setInterval(() => 0, 1000)');
  let thread: number | undefined;
  await until('it has threads', () => {
    thread = readdirSync(`/proc/${target.pid}/task`)
      .map(Number)
      .find((tid) => tid !== target.pid);
    return thread !== undefined;
  });
  const { status, stderr } = await watch('-p', String(thread));
  expect(status).toBe(1);
  expect(stderr).toContain(`it is a thread of process ${target.pid}`);
});
