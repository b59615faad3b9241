/** Children of probed processes: every hit from their first on. */
import { describe, expect, test } from 'vitest';
import type { Child } from '../support/child.ts';
import type { ProbeUser } from '../support/probes.ts';
import { until } from '../support/wait.ts';
import { needs } from './fixture.ts';
import { GONE_TIMEOUT_MS, makeWorld, recordTarget, stop, summaryOf, work } from './probe-fixture.ts';
import { statusField } from './utrace-fixture.ts';

/** How many hits each process of a text or recording has. */
function countsOf(pids: readonly number[]): readonly number[] {
  const counts = new Map<number, number>();
  for (const pid of pids) counts.set(pid, (counts.get(pid) ?? 0) + 1);
  return [...counts.values()];
}

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
