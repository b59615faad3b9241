/** Tracepoints of Node programs recorded by the built command, and read by it and by trace-cmd. */
import { mkdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Random } from '../fuzz/random.ts';
import { countsOf, TracepointWorld } from '../support/tracepoints.ts';
import { delay, until } from '../support/wait.ts';
import { CAMPAIGN_TIMEOUT_MS, needs, SCALE } from './fixture.ts';
import {
  byThread,
  checkSequence,
  compareWithTraceCmd,
  isOn,
  startRecorder,
  summaryOf,
} from './recording-fixture.ts';

const SEED = Number(process.env['USERTRACE_SEED'] ?? Date.now() % 2 ** 31);
/** A program looks at its sessions each 4.3 s while it writes events. */
const OWN_CLEANING_MS = 10_000;

let world: TracepointWorld;

beforeEach(async () => {
  world = await TracepointWorld.make();
});

afterEach(async () => {
  await world.end();
});

describe('usertrace record', () => {
  test('record has every event and field of processes with workers, as trace-cmd reads them', async (context) => {
    needs(context, 'trace-cmd');
    const producers = [await world.producer(2), await world.producer(0), await world.producer(1)];
    const recorder = await startRecorder(world, producers, '-o', 'all.dat');
    const count = 1500 * SCALE;
    for (const producer of producers) producer.say(`go ${count}`);
    const wrote = await Promise.all(producers.map((producer) => producer.line(/^wrote /)));
    const summary = await summaryOf(recorder);
    expect(summary).toMatchObject({ events: 6 * count, lost: 0, damagedPages: 0, threads: 6 });
    const threads = byThread(await world.events('all.dat'));
    for (const line of wrote) {
      for (const tid of countsOf(line).keys()) {
        expect(threads.get(tid)).toHaveLength(count);
        expect(checkSequence(threads.get(tid) ?? [], 0)).toBe(0);
      }
    }
    await compareWithTraceCmd(world, 'all.dat');
  });

  test('record counts what was lost exactly, in both modes, and marks it where it was', async () => {
    for (const mode of [[], ['--discard']]) {
      const producer = await world.producer(1, { USERTRACE_LANE_BYTES: `${128 * 1024}` });
      const recorder = await startRecorder(world, [producer], '-o', 'lost.dat', '--overwrite', '2M', ...mode);
      producer.say('flood');
      await delay(700);
      const summary = await summaryOf(recorder);
      producer.say('stop');
      const counts = countsOf(await producer.line(/^wrote /));
      const written = [...counts.values()].reduce((sum, count) => sum + count, 0);
      // An event that was being written when the session ended may be in neither count.
      expect(written - summary.events - summary.lost).toBeGreaterThanOrEqual(0);
      expect(written - summary.events - summary.lost).toBeLessThanOrEqual(counts.size);
      expect(summary.events).toBeGreaterThan(100);
      for (const events of byThread(await world.events('lost.dat')).values())
        checkSequence(events, undefined);
      await compareWithTraceCmd(world, 'lost.dat');
      await producer.kill();
    }
  });

  test(
    `a recorder that is killed leaves a readable file and an unharmed program (seed ${SEED})`,
    async () => {
      const producer = await world.producer(1);
      const random = new Random(SEED);
      for (let round = 0; round < 4 * SCALE; round++) {
        const file = `killed-${round}.dat`;
        const recorder = await startRecorder(world, [producer], '-o', file, '--overwrite', '1M');
        producer.say('flood');
        await delay(50 + random.below(400));
        await recorder.kill();
        for (const events of byThread(await world.events(file)).values()) checkSequence(events, undefined);
        await compareWithTraceCmd(world, file);
        expect(statSync(world.file(file)).size).toBeGreaterThan(4096);
        if (round === 0)
          await until(
            'the program has cleaned its words',
            async () => !(await isOn(world, producer.pid)),
            OWN_CLEANING_MS,
          );
        producer.say('stop');
        await producer.line(/^wrote /);
        expect(await world.run('recover', file)).toMatchObject({ status: 0 });
        await compareWithTraceCmd(world, file);
        const following = await startRecorder(world, [producer], '-o', 'following.dat');
        producer.say('go 100');
        await producer.line(/^wrote /);
        expect(await summaryOf(following)).toMatchObject({ events: 200, lost: 0 });
        expect(await isOn(world, producer.pid)).toBe(false);
      }
      producer.say('exit 0');
      expect(await producer.ended).toEqual({ status: 0, signal: null });
    },
    CAMPAIGN_TIMEOUT_MS,
  );

  test('record runs a command from its first event on, and ends with its status', async () => {
    const program = path.join(import.meta.dirname, '../programs/tracepoint-producer.mjs');
    const recorder = world.start('record', '-q', '-o', 'command.dat', '--', process.execPath, program, '1');
    await recorder.line(/^ready /);
    recorder.say('go 700');
    await recorder.line(/^wrote /);
    recorder.say('exit 42');
    expect(await recorder.ended, recorder.stderr).toEqual({ status: 42, signal: null });
    const threads = byThread(await world.events('command.dat'));
    expect(threads.size).toBe(2);
    for (const events of threads.values()) {
      expect(events).toHaveLength(700);
      checkSequence(events, 0);
    }
    expect(await world.run('record', '-q', '--', 'no-such-program')).toMatchObject({ status: 127 });
  });

  test('record takes two signals at once for one, and finishes the file', async () => {
    const producer = await world.producer(0);
    const recorder = await startRecorder(world, [producer], '-o', 'twice.dat');
    producer.say('go 100');
    await producer.line(/^wrote /);
    // A terminal's Ctrl-C reaches everybody in the foreground, and npx passes it on as well.
    process.kill(recorder.pid, 'SIGINT');
    process.kill(recorder.pid, 'SIGINT');
    expect(await recorder.ended, recorder.stderr).toEqual({ status: 0, signal: null });
    expect(JSON.parse(recorder.lines.at(-1) ?? '{}')).toMatchObject({ events: 100, isFinished: true });
    expect(await isOn(world, producer.pid)).toBe(false);
  });

  test.for([
    ['while it keeps up', false],
    ['in its first turn', true],
  ] as const)(
    'record ends at once when the disk is full %s, and what it has is readable',
    async ([, isBehind], context) => {
      needs(context, 'root');
      const folder = world.file('small');
      mkdirSync(folder, { recursive: true });
      expect(await world.finish('mount', '-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', folder)).toMatchObject({
        status: 0,
      });
      try {
        const producer = await world.producer(0);
        const recorder = await startRecorder(world, [producer], '-o', 'small/full.dat', '--duration', '1h');
        if (isBehind) {
          process.kill(recorder.pid, 'SIGSTOP');
          // More than the disk holds.
          producer.say('go 200000');
          await producer.line(/^wrote /);
          process.kill(recorder.pid, 'SIGCONT');
        } else producer.say('flood');
        expect(await recorder.ended).toEqual({ status: 1, signal: null });
        expect(recorder.stderr).toMatch(/disk is full/);
        if (!isBehind) {
          producer.say('stop');
          await producer.line(/^wrote /);
        }
        expect(await isOn(world, producer.pid)).toBe(false);
        const events = await world.events('small/full.dat');
        expect(events.length).toBeGreaterThan(100);
        checkSequence(events, undefined);
        await compareWithTraceCmd(world, 'small/full.dat');
      } finally {
        await world.finish('umount', '-l', folder);
      }
    },
  );

  test('record refuses a place that no recording can have, and harms no other recording', async () => {
    const producer = await world.producer(0);
    const recorder = await startRecorder(world, [producer], '-o', 'one.dat');
    producer.say('go 100');
    await producer.line(/^wrote /);
    for (const [args, why] of [
      [['record', '-o', 'one.dat'], /another program is recording into it/],
      [['recover', 'one.dat'], /another program is recording into it/],
      [['record', '-o', '/dev/null'], /not a regular file/],
      [['record', '-o', '-'], /name a file/],
      [['record', '-o', 'one.dat', '--', 'no-such-program'], /no folder of \$PATH/],
      [['report', '.'], /not a regular file/],
    ] as const) {
      const { status, stdout, stderr } = await world.run(...args);
      expect(`${stdout}${stderr}`).toMatch(why);
      expect(status).not.toBe(0);
    }
    expect(await summaryOf(recorder)).toMatchObject({ events: 100, lost: 0 });
    expect(await world.events('one.dat')).toHaveLength(100);
    expect(await world.run('record', '-o', 'one.dat', '--', 'no-such-program')).toMatchObject({
      status: 127,
    });
    expect(await world.events('one.dat')).toHaveLength(100);
  });

  test('record records the processes that are asked for, also those that start later', async () => {
    const first = await world.producer(0);
    const recorder = await startRecorder(world, [first], '-e', 'rec_texts', '-o', 'later.dat');
    const second = await world.producer(0);
    await until('the second is followed', () => isOn(world, second.pid));
    for (const producer of [first, second]) {
      producer.say('go 100');
      await producer.line(/^wrote /);
    }
    expect(await summaryOf(recorder)).toMatchObject({ events: 100, lost: 0 });
    const onlyFirst = await startRecorder(world, [first], '-p', `${first.pid}`, '-o', 'first.dat');
    expect(await isOn(world, second.pid)).toBe(false);
    expect(await summaryOf(onlyFirst)).toMatchObject({ events: 0 });
  });
});
