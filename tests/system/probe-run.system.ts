/** `usertrace run` with probes, as root and as an ordinary user. */
import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ProbeUser } from '../support/probes.ts';
import { until } from '../support/wait.ts';
import { needs } from './fixture.ts';
import {
  expected,
  GONE_TIMEOUT_MS,
  makeWorld,
  recorded,
  stop,
  untilProberIsGone,
  work,
} from './probe-fixture.ts';

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
