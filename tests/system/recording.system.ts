/** Tracepoints of Node programs recorded by the built command, and read by it and by trace-cmd. */
import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Child } from '../support/child.ts';
import { missing } from '../support/requirements.ts';
import { countsOf, expectedFields, type ReportedEvent, TracepointWorld } from '../support/tracepoints.ts';
import { delay, until } from '../support/wait.ts';
import { CAMPAIGN_TIMEOUT_MS, needs, SCALE } from './fixture.ts';

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

/** Events of each thread, in their order. */
function byThread(events: readonly ReportedEvent[]): Map<number, ReportedEvent[]> {
  const threads = new Map<number, ReportedEvent[]>();
  for (const event of events) {
    const known = threads.get(event.pid);
    if (known === undefined) threads.set(event.pid, [event]);
    else known.push(event);
  }
  return threads;
}

/** Checks that a thread's events are whole and in order, with gaps only where losses are marked; returns the losses. */
function checkSequence(events: readonly ReportedEvent[], first: number | undefined): number {
  let following = first ?? (events[0]?.fields['number'] as number);
  let lostTotal = 0;
  for (const [index, { event, fields, lost }] of events.entries()) {
    const number = fields['number'] as number;
    // A window may begin behind a gap.
    if (lost !== undefined && (first !== undefined || index > 0)) {
      lostTotal += Number(lost);
      following += Number(lost);
    }
    const name = number % 2 === 0 ? 'rec_numbers' : 'rec_texts';
    // expect() costs far more than the comparison, and there are a great many events.
    const isAsExpected =
      number === following && event === name && isDeepStrictEqual(fields, expectedFields(number));
    if (!isAsExpected) expect({ event, fields }).toEqual({ event: name, fields: expectedFields(following) });
    following++;
  }
  return lostTotal;
}

async function isOn(pid: number): Promise<boolean> {
  return (await world.listed()).some((event) => event.pid === pid && event.isEnabled);
}

/** Starts a recorder, and waits until the producers' events are on. */
async function startRecorder(producers: readonly Child[], ...args: readonly string[]): Promise<Child> {
  const recorder = world.start('record', '--json', ...args);
  for (const { pid } of producers) {
    await until(`events of ${pid} are recorded`, async () =>
      (await world.listed()).some(
        (event) => event.pid === pid && event.listeners.includes(`${recorder.pid}`),
      ),
    );
  }
  return recorder;
}

async function summaryOf(recorder: Child): Promise<{ events: number; lost: number; damagedPages: number }> {
  expect(await recorder.kill('SIGINT'), recorder.stderr).toEqual({ status: 0, signal: null });
  return JSON.parse(recorder.lines.at(-1) ?? '{}') as never;
}

/** Compares what trace-cmd prints of a file with what we print. */
async function compareWithTraceCmd(file: string): Promise<void> {
  if (missing('trace-cmd') !== undefined) return;
  const theirs = await world.finish('trace-cmd', 'report', file);
  const ours = await world.run('report', file);
  expect(theirs.status, theirs.stderr).toBe(0);
  expect(ours.stdout.split('\n')).toEqual(theirs.stdout.split('\n'));
}

describe('usertrace record', () => {
  test('record has every event and field of processes with workers, as trace-cmd reads them', async (context) => {
    needs(context, 'trace-cmd');
    const producers = [await world.producer(2), await world.producer(0), await world.producer(1)];
    const recorder = await startRecorder(producers, '-o', 'all.dat');
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
    await compareWithTraceCmd('all.dat');
  });

  test('record counts what was lost exactly, in both modes, and marks it where it was', async () => {
    for (const mode of [[], ['--discard']]) {
      const producer = await world.producer(1, { USERTRACE_LANE_BYTES: `${128 * 1024}` });
      const recorder = await startRecorder([producer], '-o', 'lost.dat', '--overwrite', '2M', ...mode);
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
      await compareWithTraceCmd('lost.dat');
      await producer.kill();
    }
  });

  test(
    `a recorder that is killed leaves a readable file and an unharmed program (seed ${SEED})`,
    async () => {
      const producer = await world.producer(1);
      let random = SEED;
      for (let round = 0; round < 4 * SCALE; round++) {
        const file = `killed-${round}.dat`;
        const recorder = await startRecorder([producer], '-o', file, '--overwrite', '1M');
        producer.say('flood');
        random = (Math.imul(random, 1_103_515_245) + 12_345) & 0x7fff_ffff;
        await delay(50 + (random % 400));
        await recorder.kill();
        for (const events of byThread(await world.events(file)).values()) checkSequence(events, undefined);
        await compareWithTraceCmd(file);
        expect(statSync(world.file(file)).size).toBeGreaterThan(4096);
        if (round === 0)
          await until(
            'the program has cleaned its words',
            async () => !(await isOn(producer.pid)),
            OWN_CLEANING_MS,
          );
        producer.say('stop');
        await producer.line(/^wrote /);
        expect(await world.run('recover', file)).toMatchObject({ status: 0 });
        await compareWithTraceCmd(file);
        const following = await startRecorder([producer], '-o', 'following.dat');
        producer.say('go 100');
        await producer.line(/^wrote /);
        expect(await summaryOf(following)).toMatchObject({ events: 200, lost: 0 });
        expect(await isOn(producer.pid)).toBe(false);
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
    const recorder = await startRecorder([producer], '-o', 'twice.dat');
    producer.say('go 100');
    await producer.line(/^wrote /);
    // A terminal's Ctrl-C reaches everybody in the foreground, and npx passes it on as well.
    process.kill(recorder.pid, 'SIGINT');
    process.kill(recorder.pid, 'SIGINT');
    expect(await recorder.ended, recorder.stderr).toEqual({ status: 0, signal: null });
    expect(JSON.parse(recorder.lines.at(-1) ?? '{}')).toMatchObject({ events: 100, isFinished: true });
    expect(await isOn(producer.pid)).toBe(false);
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
        const recorder = await startRecorder([producer], '-o', 'small/full.dat', '--duration', '1h');
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
        expect(await isOn(producer.pid)).toBe(false);
        const events = await world.events('small/full.dat');
        expect(events.length).toBeGreaterThan(100);
        checkSequence(events, undefined);
        await compareWithTraceCmd('small/full.dat');
      } finally {
        await world.finish('umount', '-l', folder);
      }
    },
  );

  test('record refuses a place that no recording can have, and harms no other recording', async () => {
    const producer = await world.producer(0);
    const recorder = await startRecorder([producer], '-o', 'one.dat');
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
    const recorder = await startRecorder([first], '-e', 'rec_texts', '-o', 'later.dat');
    const second = await world.producer(0);
    await until('the second is followed', () => isOn(second.pid));
    for (const producer of [first, second]) {
      producer.say('go 100');
      await producer.line(/^wrote /);
    }
    expect(await summaryOf(recorder)).toMatchObject({ events: 100, lost: 0 });
    const onlyFirst = await startRecorder([first], '-p', `${first.pid}`, '-o', 'first.dat');
    expect(await isOn(second.pid)).toBe(false);
    expect(await summaryOf(onlyFirst)).toMatchObject({ events: 0 });
  });
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
    await compareWithTraceCmd('snapshot.dat');
    expect(await isOn(producer.pid)).toBe(true);
    expect(await world.run('disable', '-p', pid, '*')).toMatchObject({ status: 0 });
    expect(await isOn(producer.pid)).toBe(false);
  });

  test(
    `recover has the last events of programs that were killed, none of them torn (seed ${SEED})`,
    async () => {
      let random = SEED;
      for (let round = 0; round < 6 * SCALE; round++) {
        const producer = await world.producer(round % 2, { USERTRACE_ENABLE: '*' });
        producer.say('flood');
        random = (Math.imul(random, 1_103_515_245) + 12_345) & 0x7fff_ffff;
        await delay(random % 150);
        await producer.kill();
        const { status, stdout } = await world.run('recover', '--json');
        expect(status).toBe(0);
        const recovered = JSON.parse(stdout || '{"events":0}') as { file?: string; events: number };
        if (recovered.file === undefined) continue;
        const events = await world.events(recovered.file);
        expect(events).toHaveLength(recovered.events);
        for (const thread of byThread(events).values()) expect(checkSequence(thread, undefined)).toBe(0);
        await compareWithTraceCmd(recovered.file);
        expect(readdirSync(world.file('run'))).toEqual([]);
      }
      expect(await world.run('recover')).toMatchObject({ status: 0 });
    },
    CAMPAIGN_TIMEOUT_MS,
  );

  test('list takes the sessions of killed recorders away, also of a program that writes nothing', async () => {
    const producer = await world.producer(0);
    const recorder = await startRecorder([producer], '-o', 'killed.dat');
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
    const recorder = await startRecorder([producer], '-e', 'rec_texts', '-o', 'top.dat');
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
