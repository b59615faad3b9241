/** Hits that are lost: each is counted. */
import { describe, expect, test } from 'vitest';
import { cProgram } from '../support/c-programs.ts';
import { until } from '../support/wait.ts';
import { needs } from './fixture.ts';
import { calls, GONE_TIMEOUT_MS, makeWorld, recordTarget, stop, summaryOf, work } from './probe-fixture.ts';

describe('hits that are lost', () => {
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
});
