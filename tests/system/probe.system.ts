/** Probes of native programs by the built commands: added, listened to, listed and taken away, as root and as an ordinary user. */
import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { cProgram } from '../support/c-programs.ts';
import type { Child } from '../support/child.ts';
import { missing } from '../support/requirements.ts';
import { ProbeWorld, type ProbeUser } from '../support/probes.ts';
import { until } from '../support/wait.ts';
import { needs } from './fixture.ts';
import { statusField } from './utrace-fixture.ts';

const NAMES = ['zero', 'one', 'two'];
const GONE_TIMEOUT_MS = 30_000;

let world: ProbeWorld | undefined;

afterEach(async () => {
  await world?.end();
  world = undefined;
});

async function makeWorld(user: ProbeUser): Promise<ProbeWorld> {
  world = await ProbeWorld.make(user);
  return world;
}

/** The definition of most tests. */
const work = (of: ProbeWorld): string => `p:app/work ${of.target}:target_work n=%di:s64 name=+0(%si):string`;

/** Calls the target's function, and checks that it answers what it answers unprobed. */
async function calls(target: Child, count: number, command = ''): Promise<void> {
  target.say(`${command}${count}`);
  let sum = 0;
  for (let i = 0; i < count; i++) sum += i * 2 + (NAMES[i % 3] as string).charCodeAt(0);
  expect(await target.line(/^called /)).toBe(`called ${count} ${sum}`);
}

/** What the probe of `work` says of that many calls. */
function expected(count: number): object[] {
  return Array.from({ length: count }, (_, n) => ({ event: 'work', fields: { n, name: NAMES[n % 3] } }));
}

async function recorded(of: ProbeWorld, file: string): Promise<object[]> {
  const events = await of.events(file);
  return events.map(({ event, fields }) => ({
    event,
    fields: Object.fromEntries(Object.entries(fields).filter(([name]) => !name.startsWith('__probe_'))),
  }));
}

/** Starts a recorder and waits until its probe is in a program. */
async function recordTarget(of: ProbeWorld, target: Child, ...args: readonly string[]): Promise<Child> {
  const recorder = of.start('record', ...args);
  await of.untilInForce('work', target.pid);
  return recorder;
}

async function stop(recorder: Child): Promise<void> {
  expect(await recorder.kill('SIGINT'), recorder.stderr).toEqual({ status: 0, signal: null });
}

/** What `record --json` prints at its end, besides what its command does. */
function summaryOf(lines: readonly string[]): { events: number; lost: number } {
  return JSON.parse(lines.find((line) => line.startsWith('{')) ?? '{}') as { events: number; lost: number };
}

async function untilProberIsGone(of: ProbeWorld): Promise<void> {
  await until('the prober has ended', () => of.probers().length === 0, GONE_TIMEOUT_MS);
}

/** How many hits each process of a text or recording has. */
function countsOf(pids: readonly number[]): readonly number[] {
  const counts = new Map<number, number>();
  for (const pid of pids) counts.set(pid, (counts.get(pid) ?? 0) + 1);
  return [...counts.values()];
}

describe.each<ProbeUser>(['root', 'ordinary'])('as %s', (user) => {
  test('a probe is gone while the program’s parent waits in vfork for its child, and both go on', async (context) => {
    needs(context, 'root', 'cc', 'setpriv');
    const of = await makeWorld(user);
    const waiter = of.startProgram('vfork-waiter');
    const definition = `p:app/work ${of.file('vfork-waiter')}:vfork_work n=%di:s64`;
    const tracer = of.start('trace', '-n', '1', '-p', String(waiter.pid), '-e', definition);
    await of.untilInForce('work', waiter.pid);
    waiter.say('');
    const child = Number((await waiter.line(/^child /)).slice('child '.length));
    expect(await tracer.ended, tracer.stderr).toEqual({ status: 0, signal: null });
    await untilProberIsGone(of);
    for (const pid of [waiter.pid, child]) expect(statusField(pid, 'TracerPid')).toBe('0');
    // What was left in its code, because it could not be stopped, does no harm.
    for (const line of [/^parent$/, /^child /, /^parent$/]) {
      waiter.say('');
      await waiter.line(line);
    }
    expect(await waiter.end()).toEqual({ status: 0, signal: null });
  });

  test('list says at how many of a function’s returns there are jumps, and why not at the others', async (context) => {
    needs(context, 'root', 'cc', 'setpriv');
    const of = await makeWorld(user);
    const forms = of.startProgram('return-forms');
    await forms.line(/^ready$/);
    const [mixed, branch] = ['mixed', 'branch'].map(
      (name) => `r:app/${name} ${of.file('return-forms')}:form_${name} v=$retval:s64`,
    );
    const tracer = of.start(
      'trace',
      '-n',
      '6',
      '-p',
      String(forms.pid),
      '-e',
      mixed ?? '',
      '-e',
      branch ?? '',
    );
    await of.untilInForce('mixed', forms.pid);
    await of.untilInForce('branch', forms.pid);
    const listed = (await of.run('probe', 'list')).stdout;
    expect(listed).toContain(
      'jump at 1 of 2 returns, else breakpoint: something jumps to where the jump would be',
    );
    expect(listed).toContain('jump at 2 of 2 returns  0 hits');
    forms.say('threads 1 3');
    await forms.line(/^done 0$/);
    expect(await tracer.ended, tracer.stderr).toEqual({ status: 0, signal: null });
    const told = tracer.lines.filter((line) =>
      /(?:mixed|branch): \([0-9a-fx]+ <- [0-9a-fx]+\) v=[036]$/u.test(line),
    );
    expect(told, tracer.lines.join('\n')).toHaveLength(6);
    await untilProberIsGone(of);
    expect(await forms.end()).toEqual({ status: 0, signal: null });
  });

  test('record -e takes a definition: all calls are there, and the probe is gone after it', async (context) => {
    needs(context, 'root', 'cc', 'setpriv');
    const of = await makeWorld(user);
    const target = await of.startTarget();
    await of.startTarget();
    const recorder = await recordTarget(of, target, '-e', work(of), '-o', 'a.dat');
    await calls(target, 100);
    await stop(recorder);
    expect(recorder.stderr).toMatch(/100 events of 1 thread in /);
    expect(await recorded(of, 'a.dat')).toEqual(expected(100));
    await untilProberIsGone(of);
    await calls(target, 100);
    expect(await target.end()).toEqual({ status: 0, signal: null });
    expect(of.runtimeFiles).toEqual(['prober.socket.lock']);
    if (missing('trace-cmd') === undefined) {
      const theirs = await of.finish('trace-cmd', 'report', of.file('a.dat'));
      expect(theirs.stdout.match(/ work: +\([0-9a-f]+\) n=\d+ name="(zero|one|two)"$/gmu)).toHaveLength(100);
    }
  });

  test('record -- CMD has every call from the first on, in children too, and ends as CMD', async (context) => {
    needs(context, 'root', 'cc', 'setpriv');
    const of = await makeWorld(user);
    const ended = await of.run('record', '-e', work(of), '-o', 'b.dat', '--', of.target, '20');
    expect(ended).toMatchObject({ status: 7, signal: null });
    expect(ended.stdout).toMatch(/^called 20 \d+\n$/);
    expect(await recorded(of, 'b.dat')).toEqual(expected(20));
    const script = `${of.target} 3; ${of.target} 2; exit 5`;
    const both = await of.run('record', '-e', work(of), '-o', 'c.dat', '--', 'sh', '-c', script);
    expect(both).toMatchObject({ status: 5 });
    expect(await recorded(of, 'c.dat')).toEqual([...expected(3), ...expected(2)]);
  });

  test('a kept probe is seen by list and recorders, has hits while somebody listens, and is removed by name', async (context) => {
    needs(context, 'root', 'cc', 'setpriv');
    const of = await makeWorld(user);
    const target = await of.startTarget();
    const added = await of.run('probe', 'add', work(of));
    expect(added, added.stderr).toMatchObject({ status: 0, stdout: 'app:work\n' });
    await calls(target, 10);
    expect(await of.probes()).toMatchObject([
      { group: 'app', event: 'work', hits: 0, processes: [{ pid: target.pid, state: 'idle' }] },
    ]);
    expect((await of.run('list')).stdout).toMatch(/target \d+\n {2}app:work {2}off/);
    const recorder = await recordTarget(of, target, '-e', 'app:*', '-o', 'd.dat');
    const busy = await of.run('probe', 'remove', 'app:work');
    expect(busy.status).toBe(1);
    expect(busy.stderr).toMatch(/somebody listens/);
    await calls(target, 30);
    await stop(recorder);
    expect(await recorded(of, 'd.dat')).toEqual(expected(30));
    expect((await of.probes())[0]).toMatchObject({ hits: 30 });
    expect(await of.run('probe', 'remove', 'app:w*')).toMatchObject({ status: 0, stdout: 'app:work\n' });
    expect(await of.probes()).toEqual([]);
    expect((await of.run('probe', 'remove', 'app:work')).status).toBe(1);
    await untilProberIsGone(of);
    await calls(target, 10);
  });

  test('record -- CMD has events of kept probes from the first call on', async (context) => {
    needs(context, 'root', 'cc', 'setpriv');
    const of = await makeWorld(user);
    await of.run('probe', 'add', work(of));
    const script = `${of.target} 3; ${of.target} 2`;
    const ended = await of.run('record', '-e', 'app:*', '-o', 'f.dat', '--', 'sh', '-c', script);
    expect(ended.status, ended.stderr).toBe(7);
    expect(await recorded(of, 'f.dat')).toEqual([...expected(3), ...expected(2)]);
  });

  test('children have the probes of their parent, and a program that executes itself anew keeps them', async (context) => {
    needs(context, 'root', 'cc', 'setpriv');
    const of = await makeWorld(user);
    const target = await of.startTarget();
    const recorder = await recordTarget(of, target, '-e', work(of), '-o', 'e.dat');
    await calls(target, 5);
    await calls(target, 4, 'exec ');
    expect(await target.ended).toEqual({ status: 7, signal: null });
    await stop(recorder);
    expect(await recorded(of, 'e.dat')).toEqual([...expected(5), ...expected(4)]);
  });
});

describe.each<ProbeUser>(['root', 'ordinary'])('usertrace run as %s', (user) => {
  let modeBefore: number | undefined;

  beforeEach(() => {
    if (!existsSync('/dev/fuse')) return;
    modeBefore = statSync('/dev/fuse').mode & 0o777;
    chmodSync('/dev/fuse', 0o666);
  });
  afterEach(() => {
    if (modeBefore !== undefined) chmodSync('/dev/fuse', modeBefore);
  });

  test('takes a definition: calls from the first on are printed, in children too, and it ends as CMD', async (context) => {
    needs(context, 'root', 'fuse', 'cc', 'setpriv', 'user-namespaces');
    const of = await makeWorld(user);
    const script = `${of.target} 4; exit 5`;
    const options = ['-e', work(of), '--filter', 'n != 2', '-o', 'run.txt'];
    const ended = await of.run('run', ...options, '--', 'sh', '-c', script);
    expect(ended, ended.stderr).toMatchObject({ status: 5 });
    expect(ended.stdout).toMatch(/^called 4 \d+\n$/);
    expect(ended.stderr).toMatch(/^usertrace: 3 events recorded, 0 lost$/mu);
    const lines = readFileSync(of.file('run.txt'), 'utf8').trimEnd().split('\n');
    expect(lines.map((line) => line.replace(/^ *target-\d+ .* work: \(\w+\) /u, ''))).toEqual([
      'n=0 name="zero"',
      'n=1 name="one"',
      'n=3 name="zero"',
    ]);
    await untilProberIsGone(of);
  });

  test('has probes that were added before in the command from its first instruction on', async (context) => {
    needs(context, 'root', 'fuse', 'cc', 'setpriv', 'user-namespaces');
    const of = await makeWorld(user);
    expect((await of.run('probe', 'add', work(of))).status).toBe(0);
    const recorder = of.start('record', '--json', '-e', 'app:*', '-o', 'k.dat');
    await until('it records', () => existsSync(of.file('k.dat')), GONE_TIMEOUT_MS);
    expect((await of.run('run', '--', of.target, '6')).status).toBe(7);
    await stop(recorder);
    expect(await recorded(of, 'k.dat')).toEqual(expected(6));
  });

  test('says what is wrong with a definition or a command, and runs nothing', async (context) => {
    needs(context, 'root', 'fuse', 'cc', 'setpriv', 'user-namespaces');
    const of = await makeWorld(user);
    const wrong = await of.run('run', '-e', `p ${of.target}:nothing`, '--', of.target, '1');
    expect(wrong).toMatchObject({ status: 2, stdout: '' });
    expect(wrong.stderr).toMatch(/Failed to find the given function/);
    const broken = of.file('broken');
    writeFileSync(broken, '#!/nowhere\n', { mode: 0o755 });
    const none = await of.run('run', '-e', work(of), '--', broken);
    expect(none.status).toBe(127);
    expect(none.stderr).toMatch(/cannot run/);
  });
});

describe('children', () => {
  const CHILDREN = 200;
  const CALLS = 10;

  async function makeChildren(target: Child): Promise<void> {
    target.say(`children ${CHILDREN} ${CALLS}`);
    await target.line(/^children /, GONE_TIMEOUT_MS * 4);
  }

  test.for<{ readonly user: ProbeUser; readonly probe: 'run' | 'kept'; readonly whose: 'all' | 'named' }>([
    { user: 'root', probe: 'run', whose: 'all' },
    { user: 'root', probe: 'run', whose: 'named' },
    { user: 'root', probe: 'kept', whose: 'all' },
    { user: 'root', probe: 'kept', whose: 'named' },
    { user: 'ordinary', probe: 'run', whose: 'all' },
    { user: 'ordinary', probe: 'kept', whose: 'named' },
  ])(
    'of a recorded process have every hit from their first on: $user, a probe $probe, $whose',
    { timeout: 240_000 },
    async ({ user, probe, whose }, context) => {
      needs(context, 'root', 'cc', 'setpriv');
      const of = await makeWorld(user);
      const target = await of.startTarget();
      if (probe === 'kept') expect((await of.run('probe', 'add', work(of))).status).toBe(0);
      const event = probe === 'kept' ? 'app:work' : work(of);
      const pid = whose === 'named' ? ['-p', String(target.pid)] : [];
      const recorder = await recordTarget(of, target, '--json', '-e', event, ...pid, '-o', 'c.dat');
      await makeChildren(target);
      await stop(recorder);
      expect(summaryOf(recorder.lines)).toMatchObject({ events: CHILDREN * CALLS, lost: 0 });
      const pids = (await of.events('c.dat')).map((hit) => hit.pid);
      expect(countsOf(pids)).toEqual(Array.from({ length: CHILDREN }, () => CALLS));
      expect(pids).not.toContain(target.pid);
      expect(await target.end()).toEqual({ status: 0, signal: null });
    },
  );

  test('of a traced process have every hit from their first on', { timeout: 240_000 }, async (context) => {
    needs(context, 'cc');
    const of = await makeWorld('root');
    const target = await of.startTarget();
    const tracer = of.start('trace', '-p', String(target.pid), '-e', work(of));
    await of.untilInForce('work', target.pid);
    await makeChildren(target);
    await stop(tracer);
    const pids = tracer.lines.flatMap((line) => {
      const [, pid] = /-(\d+) +\[\d+\].* work: /u.exec(line) ?? [];
      return pid === undefined ? [] : [Number(pid)];
    });
    expect(countsOf(pids)).toEqual(Array.from({ length: CHILDREN }, () => CALLS));
  });

  test('of a shell that is probed by number have every hit of what they execute', {
    timeout: 240_000,
  }, async (context) => {
    needs(context, 'cc');
    const of = await makeWorld('root');
    const shell = of.startShell(`read go; for i in $(seq 50); do ( ${of.target} ${CALLS} ); done; echo over`);
    const recorder = of.start('record', '--json', '-p', String(shell.pid), '-e', work(of), '-o', 's.dat');
    await until('the shell is traced', () => statusField(shell.pid, 'TracerPid') !== '0', GONE_TIMEOUT_MS);
    shell.say('go');
    await shell.line(/^over$/, GONE_TIMEOUT_MS * 4);
    await stop(recorder);
    expect(countsOf((await of.events('s.dat')).map(({ pid }) => pid))).toEqual(
      Array.from({ length: 50 }, () => CALLS),
    );
  });
});

describe('as root', () => {
  test.each([
    ['p:app/x TARGET:nothing', 'Failed to find the given function', 'TARGET:'],
    ['p:app/x TARGET:target_work a=%nothing', 'Invalid register name', 'a='],
    ['p:app/x /nowhere:0x10', 'Failed to find the given file', ''],
    ['p:1/x TARGET:target_work', 'Group name must follow the same rules as C identifiers', undefined],
  ])('a bad definition gets the kernel text and a caret: %s', async (definition, text, before) => {
    const of = await makeWorld('root');
    const typed = definition.replace('TARGET', of.target);
    const { status, stderr } = await of.run('probe', 'add', typed);
    expect(status).toBe(2);
    const [message, shown, caret] = stderr.split('\n');
    expect(message).toBe(`usertrace: ${text}`);
    expect(shown).toBe(`  ${typed}`);
    const lead = before?.replace('TARGET', of.target);
    const at =
      lead === undefined ? 2 : lead === '' ? typed.indexOf('/nowhere') : typed.indexOf(lead) + lead.length;
    expect(caret).toBe(`  ${' '.repeat(at)}^`);
    await untilProberIsGone(of);
  });

  test('the return of what is no function’s beginning is refused, also by record, which ends with it', async (context) => {
    needs(context, 'cc');
    const of = await makeWorld('root');
    const target = await of.startTarget();
    const definition = `r:app/x ${of.target}:target_work+4`;
    for (const command of [
      ['probe', 'add'],
      ['record', '-d', '1s', '-e'],
      ['trace', '-e'],
    ]) {
      const { status, stderr } = await of.run(...command, definition);
      expect(status).toBe(2);
      expect(stderr).toMatch(/Cannot probe the return at \S+:target_work\+4: only at a function's beginning/);
    }
    expect(await of.probes()).toEqual([]);
    expect(await target.end()).toEqual({ status: 0, signal: null });
  });

  test('another user is refused at the socket, though somebody opened the folder', async (context) => {
    needs(context, 'root', 'setpriv');
    const of = await makeWorld('root');
    expect((await of.run('probe', 'add', `p:app/x ${of.target}:target_work`)).status).toBe(0);
    for (const name of ['', 'run']) chmodSync(of.file(name), 0o755);
    chmodSync(of.file('run/prober.socket'), 0o777);
    const script = `
      const socket = require('net').connect(process.argv[1]);
      socket.on('data', (bytes) => process.stdout.write(bytes));
      socket.write(JSON.stringify({ id: 1, request: 'hello', body: { version: 2, isObserver: false } }) + '\\n');
      socket.write(JSON.stringify({ id: 2, request: 'remove', body: { pattern: '*' } }) + '\\n');`;
    const stranger = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--'];
    const asked = await of.finish(...stranger, process.execPath, '-e', script, of.file('run/prober.socket'));
    const [answer = ''] = asked.stdout.split('\n');
    expect(JSON.parse(answer), asked.stderr).toMatchObject({
      id: 1,
      refusal: { code: 'EPERM', message: expect.stringMatching(/user 65534/) as string },
    });
    expect(asked.stdout).not.toMatch(/removed/);
    chmodSync(of.file('run'), 0o700);
    expect(await of.probes()).toHaveLength(1);
  });

  test('a process that is not there is refused, and so is what is no definition', async () => {
    const of = await makeWorld('root');
    const none = await of.run('probe', 'add', '-p', '4194303', 'p /bin/sh:0x10');
    expect(none.status).toBe(1);
    expect(none.stderr).toMatch(/Cannot probe process 4194303: there is no such process/);
    expect((await of.run('probe', 'add', 'nonsense')).status).toBe(2);
    expect((await of.run('probe', 'remove')).status).toBe(2);
    expect((await of.run('probe', 'list')).stdout).toBe('no probes\n');
  });

  test('a kept probe of a named process goes with it', async (context) => {
    needs(context, 'cc');
    const of = await makeWorld('root');
    const target = await of.startTarget();
    const other = await of.startTarget();
    expect((await of.run('probe', 'add', '-p', `${target.pid}`, work(of))).status).toBe(0);
    const pids = (await of.probes())[0]?.processes.map(({ pid }) => pid);
    expect(pids).toEqual([target.pid]);
    await target.kill();
    await untilProberIsGone(of);
    expect(await other.end()).toEqual({ status: 0, signal: null });
  });

  test('two recorders of one kept probe both have all', async (context) => {
    needs(context, 'cc');
    const of = await makeWorld('root');
    const target = await of.startTarget();
    await of.run('probe', 'add', work(of));
    const first = await recordTarget(of, target, '-e', 'work', '-o', '1.dat');
    const second = of.start('record', '-e', 'work', '-o', '2.dat');
    const isHeard = async (): Promise<boolean> =>
      (await of.run('list')).stdout.includes(`tracer ${second.pid}`);
    await until('the second listens', isHeard, GONE_TIMEOUT_MS);
    await calls(target, 50);
    await Promise.all([stop(first), stop(second)]);
    expect(await recorded(of, '1.dat')).toEqual(expected(50));
    expect(await recorded(of, '2.dat')).toEqual(expected(50));
  });

  test('two runs with probes of one name: the second is refused like in the kernel', async (context) => {
    needs(context, 'cc');
    const of = await makeWorld('root');
    const target = await of.startTarget();
    const first = await recordTarget(of, target, '-e', work(of), '-o', '1.dat');
    const second = await of.run('record', '-e', work(of), '-o', '2.dat', '-d', '1s');
    expect(second.status).toBe(1);
    expect(second.stderr).toMatch(/There is already the exact same probe event/);
    await calls(target, 5);
    await stop(first);
    expect(await recorded(of, '1.dat')).toEqual(expected(5));
  });

  test('a killed recorder takes its probe along, and the program is as before', async (context) => {
    needs(context, 'cc');
    const of = await makeWorld('root');
    const target = await of.startTarget();
    const recorder = await recordTarget(of, target, '-e', work(of), '-o', 'k.dat');
    await calls(target, 5);
    await recorder.kill();
    await untilProberIsGone(of);
    await calls(target, 5);
    expect(await target.end()).toEqual({ status: 0, signal: null });
  });

  test('a prober that is told to end takes its probes away first', async (context) => {
    needs(context, 'cc');
    const of = await makeWorld('root');
    const target = await of.startTarget();
    const recorder = await recordTarget(of, target, '-e', work(of), '-o', 's.dat');
    await calls(target, 5);
    for (const pid of of.probers()) process.kill(pid, 'SIGTERM');
    await untilProberIsGone(of);
    await calls(target, 5);
    await stop(recorder);
    expect(recorder.stderr).toMatch(/The prober has ended/);
    expect(await recorded(of, 's.dat')).toEqual(expected(5));
  });

  test('a killed prober leaves the program running, and the following one is as if it had not been', async (context) => {
    needs(context, 'cc');
    const of = await makeWorld('root');
    const target = await of.startTarget();
    const recorder = await recordTarget(of, target, '-e', work(of), '-o', 'p.dat');
    await calls(target, 5);
    for (const pid of of.probers()) process.kill(pid, 'SIGKILL');
    await untilProberIsGone(of);
    await calls(target, 50);
    await stop(recorder);
    expect(recorder.stderr).toMatch(/The prober has ended/);
    const again = await recordTarget(of, target, '-e', work(of), '-o', 'q.dat');
    await calls(target, 8);
    await stop(again);
    expect(await recorded(of, 'q.dat')).toEqual(expected(8));
    expect(await target.end()).toEqual({ status: 0, signal: null });
    await untilProberIsGone(of);
    expect(of.runtimeFiles.filter((name) => /^\d/.test(name))).toEqual([]);
  });

  test('static probes are found by name, all sites of it, and their counter is raised while somebody listens', async (context) => {
    needs(context, 'cc');
    const of = await makeWorld('root');
    const target = await of.startTarget();
    const recorder = of.start('record', '-p', `${target.pid}`, '-e', 'sdt:app:step', '-o', 't.dat');
    await of.untilInForce('step', target.pid);
    await calls(target, 6);
    await stop(recorder);
    const steps = [0n, -1n, 2n, -3n, 4n, -5n].map((n) => Number(BigInt.asUintN(64, n)));
    const seen = (await recorded(of, 't.dat')) as { event: string; fields: { arg1: number | string } }[];
    expect(seen.map(({ fields }) => Number(fields.arg1))).toEqual(steps);
    expect(new Set(seen.map(({ event }) => event))).toEqual(new Set(['step']));
    const none = await of.run('probe', 'add', `sdt:${of.target}:app:nothing`);
    expect(none.status).toBe(1);
    expect(none.stderr).toMatch(/Cannot find app:nothing/);
  });

  test('a program that is faster than the prober loses hits, which are counted exactly', async (context) => {
    needs(context, 'cc');
    const of = await makeWorld('root');
    const count = 60_000;
    const ended = await of.run(
      'record',
      '--json',
      '-e',
      work(of),
      '-o',
      'l.dat',
      '--',
      of.target,
      `${count}`,
    );
    expect(ended.status, ended.stderr).toBe(7);
    const { events, lost } = summaryOf(ended.stdout.split('\n'));
    expect(events + lost).toBe(count);
    expect(events).toBeGreaterThan(0);
  });

  test('hits of a jump that find no room, while the prober does not run, are lost events and misses of the probe', async (context) => {
    needs(context, 'cc');
    const of = await makeWorld('root');
    const target = await of.startTarget();
    const recorder = await recordTarget(of, target, '--json', '-e', work(of), '-o', 'm.dat');
    const { state, reason } = (await of.probes())[0]?.processes[0] ?? {};
    if (state !== 'jump') context.skip(`the probe is a ${state}: ${reason}`);
    // More than all lanes have room for, so that it stops for nobody.
    const count = 300_000;
    const [prober = 0] = of.probers();
    process.kill(prober, 'SIGSTOP');
    await calls(target, count);
    process.kill(prober, 'SIGCONT');
    const told = async (): Promise<{ hits: number; misses: number }> =>
      (await of.probes())[0] ?? { hits: 0, misses: 0 };
    await until(
      'all calls are counted',
      async () => {
        const { hits, misses } = await told();
        return hits + misses === count;
      },
      GONE_TIMEOUT_MS,
    );
    const { misses } = await told();
    expect(misses).toBeGreaterThan(0);
    // Readers tell of a loss where something follows.
    await calls(target, 1);
    await stop(recorder);
    const { events, lost } = summaryOf(recorder.lines);
    expect(lost).toBeGreaterThanOrEqual(misses);
    expect(events + lost).toBe(count + 1);
    const { stdout } = await of.run('report', 'm.dat');
    const losses = stdout.matchAll(/\[(\d+) EVENTS DROPPED\]/gu);
    expect([...losses].reduce((sum, [, some]) => sum + Number(some), 0)).toBe(lost);
  });

  test('returns that cannot be followed are lost events', async (context) => {
    needs(context, 'cc');
    const of = await makeWorld('root');
    // The function ends with a jump to another; five calls come from code in no file, and one from main().
    const program = cProgram('tests/programs/missed-returns.c');
    const definition = `r:app/done ${program}:probed_followed`;
    const command = ['--', program, 'generated', '5'];
    const ended = await of.run('record', '--json', '-e', definition, '-o', 'n.dat', ...command);
    expect(ended.status, ended.stderr).toBe(0);
    expect(summaryOf(ended.stdout.split('\n'))).toMatchObject({ events: 1, lost: 5 });
  });

  test('returns are events with what was returned', async (context) => {
    needs(context, 'cc');
    const of = await makeWorld('root');
    const definition = `r:app/done ${of.target}:target_work rc=$retval:s64`;
    const { status, stderr } = await of.run('record', '-e', definition, '-o', 'r.dat', '--', of.target, '3');
    expect(status, stderr).toBe(7);
    expect(await recorded(of, 'r.dat')).toEqual(
      [122, 113, 120].map((rc) => ({ event: 'done', fields: { rc } })),
    );
  });

  test('--filter leaves out hits, and says what is wrong with it', async (context) => {
    needs(context, 'cc');
    const of = await makeWorld('root');
    const command = ['--', of.target, '9'];
    const filter = 'n > 2 && name != "one"';
    const ended = await of.run('record', '-e', work(of), '--filter', filter, '-o', 'w.dat', ...command);
    expect(ended.status, ended.stderr).toBe(7);
    const wanted = expected(9).filter((_, n) => n > 2 && n % 3 !== 1);
    expect(await recorded(of, 'w.dat')).toEqual(wanted);
    const bad = await of.run('record', '-e', work(of), '--filter', 'nosuch == 1', '-o', 'w.dat', ...command);
    expect(bad.status).toBe(2);
    expect(bad.stderr).toMatch(/Cannot take the filter "nosuch == 1": Field not found/);
    expect((await of.run('record', '-e', 'work', '--filter', 'n == 1', '-d', '1s')).status).toBe(2);
  });

  test('functions lists what definitions can name', async (context) => {
    needs(context, 'cc');
    const of = await makeWorld('root');
    const { stdout } = await of.run('probe', 'functions', of.target, 'target_');
    expect(stdout).toMatch(/^0x[0-9a-f]{8} {2}target_(work|step)\n0x[0-9a-f]{8} {2}target_(work|step)\n$/);
    expect((await of.run('probe', 'functions', '/etc/passwd')).status).toBe(1);
  });

  test('top and trace take a definition', async (context) => {
    needs(context, 'cc');
    const of = await makeWorld('root');
    const traced = await of.run('trace', '-e', work(of), '--', of.target, '3');
    expect(traced.status, traced.stderr).toBe(7);
    const lines = traced.stdout.split('\n').filter((line) => line.includes('work:'));
    expect(lines.map((line) => line.replace(/^.*: work: /, 'work: ').replace(/0x[0-9a-f]+/, 'IP'))).toEqual([
      'work: (IP) n=0 name="zero"',
      'work: (IP) n=1 name="one"',
      'work: (IP) n=2 name="two"',
    ]);
    expect(lines[0]).toMatch(/^ {10}target-\d+ +\[\d{3}\] \.{5} +\d+\.\d{6}: work: /);
    const target = await of.startTarget();
    const top = of.start('top', '--once', '--json', '-i', '5s', '-e', work(of), '-p', `${target.pid}`);
    await of.untilInForce('work', target.pid);
    await calls(target, 40);
    const report = JSON.parse(await top.line(/^\{/)) as { events: { event: string; count: number }[] };
    expect(report.events).toMatchObject([{ pid: target.pid, event: 'app:work', count: 40 }]);
  });
});
