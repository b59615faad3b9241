/** What programs hold and leave, without a recorder: snapshots, recoveries, lists and rates by the built command. */
import { existsSync, readdirSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Random } from '../fuzz/random.ts';
import { TracepointWorld } from '../support/tracepoints.ts';
import { delay, until } from '../support/wait.ts';
import { CAMPAIGN_TIMEOUT_MS, SCALE } from './fixture.ts';
import {
  byThread,
  checkSequence,
  compareWithTraceCmd,
  isOn,
  startRecorder,
  summaryOf,
} from './recording-fixture.ts';

const SEED = Number(process.env['USERTRACE_SEED'] ?? Date.now() % 2 ** 31);

let world: TracepointWorld;

beforeEach(async () => {
  world = await TracepointWorld.make();
});

afterEach(async () => {
  await world.end();
});

describe('what programs hold and leave', () => {
  test('snapshot writes what the flight recorder holds, and does not stop it', async () => {
    const producer = await world.producer(0);
    const pid = `${producer.pid}`;
    expect(await world.run('snapshot', pid)).toMatchObject({ status: 1 });
    expect(await world.run('enable', '-p', pid, 'rec_*')).toMatchObject({ status: 0 });
    producer.say('go 300');
    await producer.line(/^wrote /);
    expect(await world.run('snapshot', pid, '-o', 'snapshot.dat')).toMatchObject({ status: 0 });
    const events = await world.events('snapshot.dat');
    expect(events).toHaveLength(300);
    checkSequence(events, 0);
    await compareWithTraceCmd(world, 'snapshot.dat');
    expect(await isOn(world, producer.pid)).toBe(true);
    expect(await world.run('disable', '-p', pid, '*')).toMatchObject({ status: 0 });
    expect(await isOn(world, producer.pid)).toBe(false);
  });

  test(
    `recover has the last events of programs that were killed, none of them torn (seed ${SEED})`,
    async () => {
      const random = new Random(SEED);
      for (let round = 0; round < 6 * SCALE; round++) {
        const producer = await world.producer(round % 2, { USERTRACE_ENABLE: '*' });
        producer.say('flood');
        await delay(random.below(150));
        await producer.kill();
        const { status, stdout } = await world.run('recover', '--json');
        expect(status).toBe(0);
        const recovered = JSON.parse(stdout || '{"events":0}') as { file?: string; events: number };
        if (recovered.file === undefined) continue;
        const events = await world.events(recovered.file);
        expect(events).toHaveLength(recovered.events);
        for (const thread of byThread(events).values()) expect(checkSequence(thread, undefined)).toBe(0);
        await compareWithTraceCmd(world, recovered.file);
        expect(readdirSync(world.file('run'))).toEqual([]);
      }
      expect(await world.run('recover')).toMatchObject({ status: 0 });
    },
    CAMPAIGN_TIMEOUT_MS,
  );

  test('list takes the sessions of killed recorders away, also of a program that writes nothing', async () => {
    const producer = await world.producer(0);
    const recorder = await startRecorder(world, [producer], '-o', 'killed.dat');
    await recorder.kill();
    await world.listed();
    expect((await world.listed()).map(({ isEnabled, listeners }) => [isEnabled, listeners])).toEqual([
      [false, []],
      [false, []],
    ]);
  });

  test('recover ends where no folder can be made', async () => {
    const producer = await world.producer(0, { USERTRACE_ENABLE: '*' });
    producer.say('go 10');
    await producer.line(/^wrote /);
    await producer.kill();
    const { status, stderr } = await world.run('recover', '-o', '/proc/nowhere/at/all');
    expect([status, stderr]).toEqual([1, expect.stringMatching(/ENOENT/)]);
    expect(await world.run('recover', '-o', 'new/folder')).toMatchObject({ status: 0 });
    expect(await world.events(`new/folder/trace-${producer.pid}.dat`)).toHaveLength(10);
  });

  test('top shows rates, and list shows who listens', async () => {
    const producer = await world.producer(0);
    const recorder = await startRecorder(world, [producer], '-e', 'rec_texts', '-o', 'top.dat');
    const listed = await world.listed();
    expect(listed.find(({ event }) => event === 'rec_texts')?.listeners).toEqual([`${recorder.pid}`]);
    expect(listed.find(({ event }) => event === 'rec_numbers')?.listeners).toEqual([]);
    const top = world.start('top', '--once', '--json', '-i', '1s');
    await until('top listens', async () =>
      (await world.listed()).some(({ listeners }) => listeners.includes(`${top.pid}`)),
    );
    producer.say('go 500');
    await producer.line(/^wrote /);
    expect(await top.ended).toMatchObject({ status: 0 });
    const { events } = JSON.parse(top.lines.join('')) as { events: { event: string; count: number }[] };
    expect(events.toSorted((a, b) => (a.event < b.event ? -1 : 1))).toMatchObject([
      { event: 'user_events:rec_numbers', count: 250 },
      { event: 'user_events:rec_texts', count: 250 },
    ]);
    await summaryOf(recorder);
    expect(existsSync(world.file('top.dat'))).toBe(true);
  });
});
