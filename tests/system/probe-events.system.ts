/** Hits of probes as events of all tools: returns, static probes, filters, several listeners. */
import { describe, expect, test } from 'vitest';
import { until } from '../support/wait.ts';
import { needs } from './fixture.ts';
import {
  calls,
  expected,
  GONE_TIMEOUT_MS,
  makeWorld,
  recorded,
  recordTarget,
  stop,
  work,
} from './probe-fixture.ts';

describe('hits are events', () => {
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
