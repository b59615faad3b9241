/** `usertrace watch -- CMD`: what it prints, and what the command notices of it, beside strace where that is installed. */
import { describe, expect, test } from 'vitest';
import { finish } from '../support/child.ts';
import { missing } from '../support/requirements.ts';
import { until } from '../support/wait.ts';
import { needs } from './fixture.ts';
import { rows, startWatch, strace, watch } from './watch-fixture.ts';

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

function sortedFlags(flags: string | undefined): string {
  return (flags ?? '').split('|').toSorted().join('|');
}
