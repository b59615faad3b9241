/** Probes of native programs by the built commands, as root and as an ordinary user: recorded, kept, listed and taken away. */
import { describe, expect, test } from 'vitest';
import type { ProbeUser } from '../support/probes.ts';
import { missing } from '../support/requirements.ts';
import { needs } from './fixture.ts';
import {
  calls,
  expected,
  makeWorld,
  recorded,
  recordTarget,
  stop,
  untilProberIsGone,
  work,
} from './probe-fixture.ts';
import { statusField } from './utrace-fixture.ts';

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
