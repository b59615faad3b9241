/** Probes when their process, their recorder or the prober ends, however it ends. */
import { describe, expect, test } from 'vitest';
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

describe('when somebody ends', () => {
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
});
