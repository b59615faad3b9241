/** The built `usertrace watch` on real programs, beside strace where it is installed. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Child, type Finished, finish } from '../support/child.ts';
import { inRepository } from '../support/repository.ts';
import { missing } from '../support/requirements.ts';
import { USERTRACE } from '../support/server.ts';
import { TracepointWorld } from '../support/tracepoints.ts';
import { until } from '../support/wait.ts';
import { finishAsOrdinaryUser, needs } from './fixture.ts';
import { disturbedThreads, startCommand, stateOf, statusField, untilUndisturbed } from './utrace-fixture.ts';

/** What --json prints a line of. */
interface Row {
  readonly time: number;
  readonly pid: number;
  readonly tid: number;
  readonly event: string;
  readonly [field: string]: unknown;
}

/** A Node program that reads a file again and again, in threads of libuv's and its own. */
const READER = `
const { readFile } = require('node:fs');
const { Worker, isMainThread } = require('node:worker_threads');
if (isMainThread) { new Worker(__filename); new Worker(__filename); }
setInterval(() => readFile('/etc/hostname', () => {}), 5);
if (isMainThread) console.log('reads');`;

function watch(...args: readonly string[]): Promise<Finished> {
  return finish(process.execPath, [USERTRACE, 'watch', ...args], { env: environment() });
}

function startWatch(...args: readonly string[]): Child {
  const child = new Child(process.execPath, [USERTRACE, 'watch', ...args], { env: environment() });
  onTestFinished(async () => {
    await child.kill();
  });
  return child;
}

function environment(): NodeJS.ProcessEnv {
  return { ...process.env, LC_ALL: 'C' };
}

function rowsOf({ stderr }: Pick<Finished, 'stderr'>): Row[] {
  return stderr
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Row);
}

async function rows(...args: readonly string[]): Promise<Row[]> {
  const finished = await watch('--json', ...args);
  return rowsOf(finished);
}

function temporaryFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'usertrace-watch-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function sortedFlags(flags: string | undefined): string {
  return (flags ?? '').split('|').toSorted().join('|');
}

/** Runs strace to the end of a command; its lines. */
async function strace(options: readonly string[], command: readonly string[]): Promise<string[]> {
  const file = path.join(temporaryFolder(), 'strace.txt');
  await finish('strace', ['-f', '-s', '4096', '-o', file, ...options, ...command], { env: environment() });
  return readFileSync(file, 'utf8').split('\n');
}

describe('usertrace watch -- CMD', () => {
  test('prints births, execs, signals and ends, and ends with the status of the command', async () => {
    const script = 'trap "echo caught" USR1; sh -c "kill -USR1 \\$PPID"; exit 7';
    const { stdout, stderr, status } = await watch('--', 'sh', '-c', script);
    expect(status).toBe(7);
    expect(stdout).toBe('caught\n');
    const pid = / (\d+) \(sh\) exec /.exec(stderr)?.[1] ?? '';
    const main = stderr.split('\n').filter((line) => line.includes(` ${pid} (sh) `));
    const words = main.map((line) => line.replace(/^\d+\.\d{6} \d+ \(sh\) /, ''));
    expect(words[0]).toMatch(/^exec \/.* \["sh", "-c", "trap /);
    expect(words[1]).toMatch(/^(fork|vfork) \d+$/);
    const child = words[1]?.split(' ')[1];
    expect(words).toContain(`SIGUSR1 SI_USER from ${child} (uid ${process.getuid?.()}): handled`);
    expect(stderr).toContain(` ${child} (sh) exited with 0\n`);
    expect(words.at(-1)).toBe('exited with 7');
    expect(stderr).toMatch(/SIGCHLD CLD_EXITED from \d+/);
  });

  test.each([
    [
      ['sh', '-c', 'kill -TERM $$'],
      143,
      'SIGTERM SI_USER from PID (uid UID): kills\n',
      'killed by SIGTERM\n',
    ],
    [['sh', '-c', 'kill -KILL $$'], 137, '', 'killed by SIGKILL\n'],
    [['no-such-program'], 127, 'cannot run "no-such-program"', 'in no folder of $PATH'],
    [['/etc/passwd'], 126, 'cannot run "/etc/passwd"', 'may execute'],
  ])('%j ends it with %i', async (command, status, ...texts) => {
    const finished = await watch('--', ...command);
    const stderr = finished.stderr.replaceAll(/from \d+ \(uid \d+\)/g, 'from PID (uid UID)');
    expect(finished.status).toBe(status);
    for (const text of texts) expect(stderr).toContain(text);
  });

  test.each([
    [['-e', 'syscall:opnat', '--', 'true'], 2, 'did you mean openat'],
    [['-e', 'births', '--', 'true'], 2, 'there are clone, exec'],
    [[], 2, 'name either processes'],
    [['-p', '1', '--', 'true'], 2, 'name either processes'],
    [['-p', '4194305'], 1, 'cannot watch process 4194305'],
    [['-o', '/no/such/folder/t.dat', '--', 'true'], 1, 'cannot write /no/such/folder/t.dat: ENOENT'],
  ])('%j is refused with %i', async (args, status, text) => {
    const finished = await watch(...args);
    expect(finished.stderr).toContain(text);
    expect(finished.status).toBe(status);
  });

  test('gives the command its own descriptors and environment', async () => {
    const list = 'ls /proc/self/fd';
    const child = startWatch('--', 'sh', '-c', `read line; echo "got $line $LC_ALL"; ${list}; echo bad >&2`);
    child.say('words');
    expect(await child.line(/^got/)).toBe('got words C');
    await child.ended;
    const unwatched = await finish('sh', ['-c', list]);
    expect(child.lines.slice(1)).toEqual(unwatched.stdout.split('\n').slice(0, -1));
    expect(child.stderr).toContain('bad\n');
  });

  test.each([
    ['a filter', ['-e', 'syscall:openat']],
    ['every call stopping', ['-e', 'syscall:openat', '--no-filter']],
    ['all calls', ['-e', 'syscall']],
  ])('sees the files that strace sees opened, with %s', async (_, options) => {
    // What cat says would go between the rows, piece by piece: they share its stderr.
    const command = ['sh', '-c', 'cat /etc/passwd /no/such/file 2>/dev/null; ls /'];
    const opened = (await rows(...options, '--', ...command)).filter(({ name }) => name === 'openat');
    const ours = opened.map(({ args, result, error }) => {
      const [folder, file, flags] = args as string[];
      return `${folder}, ${file}, ${sortedFlags(flags)} = ${(error as string) ?? (result as number)}`;
    });
    expect(ours.some((line) => line.includes('"/no/such/file", O_RDONLY = ENOENT'))).toBe(true);
    if (missing('strace') !== undefined) return;
    const theirs = (await strace(['-e', 'trace=openat'], command)).flatMap((line) => {
      const [, place, flags, result] =
        /openat\((.*), (O_\S+?)(?:, 0\d+)?\) += (.*?)(?: \(.*)?$/.exec(line) ?? [];
      return place === undefined ? [] : [`${place}, ${sortedFlags(flags)} = ${result?.replace('-1 ', '')}`];
    });
    expect(ours.toSorted()).toEqual(theirs.toSorted());
  });

  test('counts the calls that strace -c counts', async (context) => {
    needs(context, 'strace');
    const command = ['dd', 'if=/dev/zero', 'of=/dev/null', 'bs=1', 'count=2000'];
    const finished = await watch('--summary', '--', ...command);
    const ours = new Map<string, string>();
    const errors = new Map<string, string>();
    for (const line of finished.stderr.split('\n')) {
      const [, calls, failed, name] =
        /^ *[\d.]+ +[\d.]+ +\d+ +(\d+) {1,10}( *\d*) {2}(\w+)$/.exec(line) ?? [];
      if (name === undefined || name === 'total') continue;
      ours.set(name, calls ?? '');
      errors.set(name, failed?.trim() ?? '');
    }
    const theirs = new Map<string, string>();
    for (const line of await strace(['-c'], command)) {
      const [, calls, failed = '', name] = /^ *[\d.]+ +[\d.]+ +\d+ +(\d+) +(\d+)? +(\w+)$/.exec(line) ?? [];
      if (name === undefined || name === 'total') continue;
      theirs.set(name, calls ?? '');
      expect(errors.get(name), name).toBe(failed);
    }
    expect(theirs.size).toBeGreaterThan(5);
    expect(Object.fromEntries(ours)).toEqual(Object.fromEntries(theirs));
  });

  test('sums up in one object, without a line for each event', async () => {
    const found = await rows('--summary', '--', 'sh', '-c', 'true | true');
    expect(found).toHaveLength(1);
    expect(found[0]).toMatchObject({ events: { exec: 1, fork: 2, exit: 3 } });
    const calls = found[0]?.['calls'] as { name: string; seconds: number }[];
    expect(calls.find(({ name }) => name === 'wait4')?.seconds).toBeGreaterThan(0);
  });

  test('misses no child of any generation', async () => {
    const script = 'n=0; while [ $n -lt 40 ]; do sh -c "(true) & wait" & n=$((n+1)); done; wait';
    const found = await rows('--', 'sh', '-c', script);
    const born = found.filter(({ event }) => event === 'clone').map(({ child }) => child);
    const ended = found.filter(({ event }) => event === 'exit').map(({ tid }) => tid);
    expect(born.length).toBeGreaterThanOrEqual(80);
    const first = found[0]?.tid;
    expect(new Set(ended)).toEqual(new Set([first, ...born]));
  });

  test('passes signals on to the command, and ends when it does', async () => {
    const child = startWatch('--', 'sh', '-c', 'trap "exit 9" INT; echo ready; while :; do sleep 0.05; done');
    await child.line(/^ready/);
    expect(await child.kill('SIGINT')).toEqual({ status: 9, signal: null });
    expect(child.stderr).toMatch(/SIGINT SI_USER from \d+ \(uid \d+\): handled/);
  });

  test('stays for what the command has left running, and asks twice before it takes calls away', async () => {
    const script = 'sh -c "echo left; read line; cat /etc/hostname >/dev/null && echo fine" <&3 & exit 4';
    const child = startWatch('-e', 'exit,syscall:openat', '--', 'sh', '-c', `exec 3<&0; ${script}`);
    await child.line(/^left/);
    await until('the command has ended', () => child.stderr.includes('exited with 4'));
    process.kill(child.pid, 'SIGTERM');
    await until('it says who needs it', () =>
      child.stderr.includes('their calls of openat fail with ENOSYS'),
    );
    child.say('go on');
    expect(await child.line(/^fine/)).toBe('fine');
    expect(await child.ended).toEqual({ status: 4, signal: null });
  });

  test('shows calls of threads that block and come back', async () => {
    const child = startWatch('-e', 'syscall:read', '--', 'sh', '-c', 'echo ready; read line; echo "$line"');
    await child.line(/^ready/);
    await until('the call is shown', () =>
      / read\(0, 0x[0-9a-f]+, 1\) <unfinished \.\.\.>\n/.test(child.stderr),
    );
    child.say('x');
    await child.line(/^x/);
    await child.ended;
    expect(child.stderr).toContain('(sh) <... read resumed> = 1\n');
  });
});

describe('usertrace watch -p', () => {
  test('watches all threads of a Node process, and leaves it running and untraced', async () => {
    const folder = temporaryFolder();
    const file = path.join(folder, 'reader.cjs');
    await finish('sh', ['-c', 'printf "%s" "$1" > "$2"', 'sh', READER, file]);
    const target = await startCommand(process.execPath, file);
    await target.output.line(/^reads/);
    const child = startWatch('-e', 'syscall:openat', '-p', String(target.pid));
    await until('opens by several threads are seen', () => {
      const tids = [...child.stderr.matchAll(/ \d+\/(\d+) \([^)]*\) openat\(AT_FDCWD, "\/etc\/hostname"/g)];
      return new Set(tids.map(([, tid]) => tid)).size >= 2;
    });
    expect(child.stderr).toMatch(
      new RegExp(`watching process ${target.pid}, \\d+ threads; Ctrl-C lets it go`),
    );
    expect(await child.kill('SIGINT')).toEqual({ status: 0, signal: null });
    expect(disturbedThreads(target.pid)).toEqual([]);
    expect(target.send('SIGTERM')).toBe(true);
    await target.output.line(/^status 143/);
  });

  test('several processes at once, until they have ended', async () => {
    const first = await startCommand('sleep', '100');
    const second = await startCommand('sleep', '100');
    const child = startWatch('-p', `${first.pid}`, '-p', `${second.pid}`);
    await until('both are watched', () => child.stderr.split('watching process').length === 3);
    first.send('SIGTERM');
    second.send('SIGKILL');
    expect(await child.ended).toEqual({ status: 0, signal: null });
    expect(child.stderr).toContain(`${first.pid} (sleep) killed by SIGTERM\n`);
    expect(child.stderr).toContain(`${second.pid} (sleep) killed by SIGKILL\n`);
  });

  test('shows job control, and lets a stopped process stay stopped', async () => {
    const target = await startCommand('sleep', '100');
    const child = startWatch('-p', `${target.pid}`);
    await until('it is watched', () => child.stderr.includes('watching process'));
    target.send('SIGSTOP');
    await until('the stop is shown', () => child.stderr.includes('(sleep) stopped by SIGSTOP\n'));
    target.send('SIGCONT');
    await until('the end of it is shown', () => child.stderr.includes('(sleep) goes on\n'));
    target.send('SIGSTOP');
    await until('it is stopped', () => child.stderr.split('stopped by SIGSTOP').length === 3);
    expect(await child.kill('SIGTERM')).toEqual({ status: 0, signal: null });
    await until('it is stopped, and untraced', () => stateOf(target.pid) === 'T');
    expect(statusField(target.pid, 'TracerPid')).toBe('0');
    target.send('SIGCONT');
    await untilUndisturbed(target.pid);
  });

  test('leaves a process running and untraced when it is killed itself', async () => {
    const target = await startCommand('sh', '-c', 'while :; do sleep 0.01; done');
    const child = startWatch('-e', 'syscall', '-p', `${target.pid}`);
    await until('calls are shown', () => child.stderr.includes(' = '));
    await child.kill('SIGKILL');
    await untilUndisturbed(target.pid);
    expect(target.send('SIGTERM')).toBe(true);
  });

  test('names who traces a process already, and why another user may not', async (context) => {
    needs(context, 'setpriv', 'strace');
    const target = await startCommand('sleep', '100');
    const other = new Child('strace', ['-o', '/dev/null', '-p', `${target.pid}`]);
    onTestFinished(async () => {
      await other.kill();
    });
    await until('strace has it', () => statusField(target.pid, 'TracerPid') !== '0');
    const taken = await watch('-p', `${target.pid}`);
    expect(taken.status).toBe(1);
    expect(taken.stderr).toMatch(/strace \(process \d+\) traces it; end that first/);
    await other.kill('SIGTERM');
    const refused = await finishAsOrdinaryUser(process.execPath, USERTRACE, 'watch', '-p', `${target.pid}`);
    expect(refused.status).toBe(1);
    expect(refused.stderr).toMatch(/Cannot attach to task \d+: .*(belongs to another user|ptrace_scope)/);
  });
});

describe('usertrace watch -o', () => {
  test('writes a file that trace-cmd reads as we do, with the program’s own events on the same clock', async (context) => {
    needs(context, 'trace-cmd');
    const world = await TracepointWorld.make();
    onTestFinished(() => world.end());
    const producer = inRepository('tests', 'programs', 'tracepoint-producer.mjs');
    const watcher = world.start(
      'watch',
      '-e',
      'exec,exit,clone,signal,syscall:write',
      '-o',
      'w.dat',
      '--',
      process.execPath,
      producer,
      '1',
    );
    await watcher.line(/^ready /);
    watcher.say('go 500');
    await watcher.line(/^wrote /);
    expect(await watcher.end(), watcher.stderr).toMatchObject({ status: 0 });
    expect(watcher.stderr).toMatch(/\d+ events and 1,000 events of tracepoints in w\.dat/);
    const theirs = await world.finish('trace-cmd', 'report', 'w.dat');
    const ours = await world.run('report', 'w.dat');
    expect(theirs.status, theirs.stderr).toBe(0);
    expect(ours.stdout.split('\n')).toEqual(theirs.stdout.split('\n'));
    const names = (await world.events('w.dat')).map(({ event }) => event);
    const wrote = names.findLastIndex((name) => name === 'sys_enter');
    expect(names[0]).toBe('exec');
    expect(names.indexOf('rec_numbers')).toBeGreaterThan(names.indexOf('clone'));
    expect(names.lastIndexOf('rec_texts')).toBeLessThan(wrote);
    expect(names.at(-1)).toBe('exit');
    expect(names.filter((name) => name.startsWith('rec_'))).toHaveLength(1000);
  });

  test('lets the command run to its end when the disk is full, and says so', async (context) => {
    needs(context, 'root');
    const folder = temporaryFolder();
    await finish('mount', ['-t', 'tmpfs', '-o', 'size=1M', 'none', folder]);
    try {
      const file = path.join(folder, 'full.dat');
      const script = 'dd if=/dev/zero of=/dev/null bs=1 count=8000 2>/dev/null; echo finished';
      const { stdout, stderr, status } = await watch('-e', 'syscall', '-o', file, '--', 'sh', '-c', script);
      expect(stdout).toBe('finished\n');
      expect(stderr).toContain(`cannot write ${file}: the disk is full`);
      expect(status).toBe(1);
    } finally {
      await finish('umount', [folder]);
    }
  });

  test('leaves a readable file when it is killed', async () => {
    const folder = temporaryFolder();
    const file = path.join(folder, 'k.dat');
    const target = await startCommand('sh', '-c', 'while :; do sleep 0.01; done');
    const child = startWatch('-e', 'syscall', '-o', file, '-p', `${target.pid}`);
    const report = (): Promise<Finished> => finish(process.execPath, [USERTRACE, 'report', file]);
    await until('events are in the file', async () => (await report()).stdout.includes('sys_exit'));
    await child.kill('SIGKILL');
    expect((await report()).stdout).toContain('sys_enter');
    await untilUndisturbed(target.pid);
  });
});
