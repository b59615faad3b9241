/** `usertrace run --follow engine`: the command is followed by tracing it, and notices nothing of that. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { chmod, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, type TestContext } from 'vitest';
import { cProgram } from '../support/c-programs.ts';
import { type Child, finish } from '../support/child.ts';
import type { Requirement } from '../support/requirements.ts';
import { missing } from '../support/requirements.ts';
import { USERTRACE } from '../support/server.ts';
import { until } from '../support/wait.ts';
import { asOrdinaryUser, needs, startChild } from './fixture.ts';
import { stateOf, statusField, untilUndisturbed } from './utrace-fixture.ts';

const TREE = '/sys/kernel/tracing';
const CHILDREN = 5;
const NEEDS: readonly Requirement[] = ['root', 'fuse', 'cc'];
const HOLDERS = [TREE, 'family u32 value', String(CHILDREN)];

type User = 'root' | 'an ordinary user';

const USERS: readonly User[] = ['root', 'an ordinary user'];

function needsFor(user: User, context: TestContext): void {
  needs(context, ...NEEDS);
  if (user !== 'root') needs(context, 'setpriv', 'user-namespaces');
}

/** The command line of a run. */
function runOf(user: User, ...command: readonly string[]): string[] {
  const words = [process.execPath, USERTRACE, 'run', '-q', '--follow', 'engine', '--', ...command];
  return user === 'root' ? words : asOrdinaryUser(...words).flat();
}

function start(user: User, ...command: readonly string[]): Child {
  return startChild(runOf(user, ...command));
}

/** A script that executes its arguments, with nothing to read that would ever end. */
const EXECUTE = 'echo "pid $$"; exec "$@" <> "$FIFO"';

/** A command with children, all of which have registered, and who serves them; it does not end by itself. */
async function startFamily(user: User): Promise<{ run: Child; pids: number[]; server: number }> {
  const folder = mkdtempSync(join(tmpdir(), 'usertrace-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const fifo = join(folder, 'fifo');
  await finish('sh', ['-c', `mkfifo ${fifo}; chmod 777 ${folder} ${fifo}`]);
  const words = ['sh', '-c', `FIFO=${fifo}; ${EXECUTE}`, 'sh', holders(), ...HOLDERS];
  const run = start(user, 'sh', '-c', '"$@" & read line', 'sh', ...words);
  const pid = Number((await run.line(/^pid /)).slice(4));
  await run.line(/^ready /);
  const pids = [pid, ...childrenOf(pid)];
  onTestFinished(() => pids.forEach(endProcess));
  expect(pids).toHaveLength(1 + CHILDREN);
  return { run, pids, server: Number(statusField(Number(statusField(pid, 'PPid')), 'PPid')) };
}

/** A word of a shell's line. */
function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}

function holders(): string {
  return cProgram('tests/programs/forked-holders.c');
}

function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return text === '' ? [] : text.split(' ').map(Number);
}

function endProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}

let modeBefore: number | undefined;

beforeAll(async () => {
  if (missing('root', 'fuse') !== undefined) return;
  modeBefore = (await stat('/dev/fuse')).mode & 0o777;
  await chmod('/dev/fuse', 0o666);
});

afterAll(async () => {
  if (modeBefore !== undefined) await chmod('/dev/fuse', modeBefore);
});

describe.each(USERS)('a command that is run by %s', (user) => {
  test('is traced with its children from its registration on, and all have their bits set', async (context) => {
    needsFor(user, context);
    const run = start(user, 'sh', '-c', 'echo "pid $$"; exec "$@"', 'sh', holders(), ...HOLDERS);
    const pid = Number((await run.line(/^pid /)).slice(4));
    await run.line(/^ready /);
    const server = statusField(pid, 'PPid');
    const tracers = [pid, ...childrenOf(pid)].map((one) => statusField(one, 'TracerPid'));
    expect(tracers).toEqual(Array.from({ length: 1 + CHILDREN }, () => server));
    run.say('count');
    expect(await run.line(/^set /)).toBe(`set ${1 + CHILDREN} of ${1 + CHILDREN}`);
    expect(await run.end()).toMatchObject({ status: 0 });
    expect(run.stderr).toBe('');
  });

  test('ends the run with its status, traced or not, and gets the signals of the run', async (context) => {
    needsFor(user, context);
    const job = cProgram('tests/programs/job-control.c');
    for (const [script, status] of [
      ['exit 42', 42],
      ['kill -SEGV $$', 139],
      ['exec /no/such/program', 127],
      [`exec ${job} ${TREE}`, 7],
      [`${job} ${TREE} & wait $!; exit $?`, 7],
    ] as const) {
      const [command = '', ...args] = runOf(user, 'sh', '-c', script);
      expect({ script, ...(await finish(command, args)) }).toMatchObject({ script, status });
    }
    const run = start(user, job, TREE);
    await run.line(/^ready/);
    expect(await run.kill('SIGTERM')).toMatchObject({ status: 143 });
  });

  test('is let go when it executes another, and traced again when that registers', async (context) => {
    needsFor(user, context);
    const chain = cProgram('tests/programs/exec-chain.c');
    const [command = '', ...args] = runOf(user, chain, TREE, '50');
    expect(await finish(command, args)).toMatchObject({ status: 0, stdout: 'done\n', stderr: '' });
    const script = 'echo "pid $$"; exec "$@"';
    const run = start(user, 'sh', '-c', script, 'sh', chain, TREE, '-1');
    const pid = Number((await run.line(/^pid /)).slice(4));
    await run.line(/^registers/);
    await until('it executes cat', () => statusField(pid, 'Name') === 'cat');
    await untilUndisturbed(pid);
    run.say('still there');
    expect(await run.line()).toBe('still there');
    expect(await run.end()).toMatchObject({ status: 0 });
    expect(run.stderr).toBe('');
  });

  test('runs on untraced with its children when its server is killed', async (context) => {
    needsFor(user, context);
    const { pids, server } = await startFamily(user);
    process.kill(server, 'SIGKILL');
    for (const pid of pids) await untilUndisturbed(pid);
    await until('all sleep', () => pids.every((pid) => stateOf(pid) === 'S'));
  });

  test('leaves what runs on in the background untraced', async (context) => {
    needsFor(user, context);
    const { run, pids } = await startFamily(user);
    run.say('enough');
    for (const pid of pids) await untilUndisturbed(pid);
    await until('all sleep', () => pids.every((pid) => stateOf(pid) === 'S'));
  });

  test('is stopped and continued by its terminal, and its own handler is asked', async (context) => {
    needsFor(user, context);
    const words = runOf(user, cProgram('tests/programs/job-control.c'), TREE);
    const script = `${words.map(quoted).join(' ')}; echo "stopped $?"; until [ "$key" = "go on" ]; do read key; done; fg >/dev/null; echo "status $?"`;
    const terminal = startChild(['script', '-qec', `sh -c ${quoted(`set -m; ${script}`)}`, '/dev/null']);
    const pid = Number((await terminal.line(/^ready /)).slice(6));
    terminal.say('\u001A');
    const hasSaid = (what: string): boolean => terminal.lines.some((line) => line.includes(what));
    await until('its handler has stopped it', () => hasSaid('stops') && /^[Tt]$/.test(stateOf(pid) ?? ''));
    await until('the shell has it as stopped', () => hasSaid('stopped 148'));
    terminal.say('go on');
    await terminal.line(/^goes on/);
    terminal.say('after it');
    await terminal.line(/^line after it/);
    terminal.say('end');
    expect(await terminal.line(/^status /)).toBe('status 7\r');
  });
});

test('a command that has a tracer already is followed by searching, which is said with what would help', async (context) => {
  needs(context, ...NEEDS, 'strace');
  const strace = ['strace', '-f', '-qq', '-e', 'trace=none', '-o', '/dev/null'];
  const run = startChild([...strace, ...runOf('root', holders(), ...HOLDERS)]);
  await run.line(/^ready /);
  run.say('count');
  expect(await run.line(/^set /)).toBe(`set ${1 + CHILDREN} of ${1 + CHILDREN}`);
  expect(await run.end()).toMatchObject({ status: 0 });
  expect(run.stderr).toMatch(
    /usertrace: process \d+ is followed by searching \/proc.*strace \(process \d+\) traces it; end that first/,
  );
});
