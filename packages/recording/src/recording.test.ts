import { PROVIDER_HEADER, PROVIDER_OFFSET } from '@usertrace/abi';
import { eventMatcher } from '@usertrace/base';
import { finishRecording, nodeFiles, reportText, TraceDatFile } from '@usertrace/formats';
import { closeSync, copyFileSync, openSync, readdirSync, truncateSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { dumpLanes } from './lane-dump.ts';
import { ProviderFile } from './provider-file.ts';
import { ProviderSession } from './provider-session.ts';
import type { Recording, RecordingOptions } from './recording.ts';
import { recordingFiles } from './recording-files.ts';
import { makeFolder, removeFolder, SimulatedProvider } from './provider.sim.ts';
import { recordedEvents, startRecording } from './recording.sim.ts';

const UID = process.getuid?.() ?? 0;

interface Reported {
  readonly name: string;
  readonly pid: number;
  readonly number: number;
  readonly lost: number | 'unknown' | undefined;
}

let folder: string;
let outputs: string;
let output: string;
const warnings: string[] = [];
const providers: SimulatedProvider[] = [];
const recordings: Recording[] = [];

function provide(tid: number, pageCount?: number): SimulatedProvider {
  const provider = new SimulatedProvider(folder, tid, pageCount);
  providers.push(provider);
  return provider;
}

function record(pattern = '*', more: Partial<RecordingOptions> = {}): Recording {
  const recording = startRecording({ folder, path: output, pattern, warnings }, more);
  recordings.push(recording);
  return recording;
}

function reported(path = output): Reported[] {
  return recordedEvents(path).map(({ name, pid, fields, lost }) => ({
    name,
    pid,
    number: fields['number'] as number,
    lost,
  }));
}

const numbers = (events: readonly Reported[]): number[] => events.map(({ number }) => number);
const upTo = (count: number, from = 0): number[] => Array.from({ length: count }, (_, index) => from + index);

beforeEach(() => {
  folder = makeFolder();
  outputs = makeFolder();
  output = join(outputs, 'trace.dat');
});

afterEach(() => {
  for (const recording of recordings.splice(0)) recording.abandon();
  for (const provider of providers.splice(0)) provider.die();
  removeFolder(folder);
  removeFolder(outputs);
  warnings.length = 0;
});

describe('Recording', () => {
  it('has every event of all threads, also while it is recorded', async () => {
    const [one, two] = [provide(101), provide(102)];
    for (const provider of [one, two]) provider.declare('tick u32 number');
    const recording = record();
    for (let number = 0; number < 3000; number++) {
      one.emit(0, number);
      two.emit(0, 10_000 + number);
      if (number % 100 === 0) recording.turn();
      if (number === 1500) {
        recording.turn();
        expect(reported()).toHaveLength(3002);
      }
    }
    expect(await recording.finish()).toMatchObject({ state: 'finished' });
    const events = reported();
    expect(numbers(events.filter(({ pid }) => pid === 101))).toEqual(upTo(3000));
    expect(numbers(events.filter(({ pid }) => pid === 102))).toEqual(upTo(3000, 10_000));
    expect(recording.totals).toMatchObject({ events: 6000, lost: 0, damagedPages: 0, writerThreads: 2 });
    expect(warnings).toEqual([]);
  });

  it('keeps apart what different programs call by the same id', async () => {
    const [one, two] = [provide(101), provide(102)];
    one.declare('a u32 number');
    one.declare('b u32 number');
    two.declare('b u32 number');
    two.declare('a u32 number');
    two.declare('a u32 other; u32 number');
    const recording = record();
    for (let number = 0; number < 500; number++) {
      one.emit(0, number);
      one.emit(1, number);
      two.emit(0, number);
      two.emit(1, number);
      two.emit(2, 7, number);
    }
    await recording.finish();
    const events = reported();
    for (const [name, pid, count] of [
      ['a', 101, 500],
      ['b', 101, 500],
      ['a', 102, 1000],
      ['b', 102, 500],
    ] as const) {
      expect(events.filter((event) => event.name === name && event.pid === pid)).toHaveLength(count);
    }
    const file = nodeFiles().openToRead(output);
    expect([...reportText(TraceDatFile.read(file))].filter((line) => line.includes('UNKNOWN'))).toEqual([]);
    file.close();
  });

  it('leaves out what only other sessions want, and what was before it', async () => {
    const provider = provide(101, 64);
    provider.declare('wanted u32 number');
    provider.declare('other u32 number');
    const file = ProviderFile.open(provider.path, UID, 'change');
    const other = ProviderSession.attach(
      file,
      { patterns: ['*'], matches: () => true, mode: 'overwrite' },
      0,
    );
    for (let number = 0; number < 50; number++) provider.emit(0, 9999);
    const recording = record('wanted');
    for (let number = 0; number < 2000; number++) {
      provider.emit(0, number);
      provider.emit(1, number);
      if (number % 37 === 0) recording.turn();
    }
    if (other instanceof ProviderSession) other.detach();
    for (let number = 2000; number < 4000; number++) {
      provider.emit(0, number);
      provider.emit(1, number);
      if (number % 37 === 0) recording.turn();
    }
    file.close();
    await recording.finish();
    const events = reported();
    expect(numbers(events)).toEqual(upTo(4000));
    expect(events.every(({ name, lost }) => name === 'wanted' && lost === undefined)).toBe(true);
    expect(recording.totals).toMatchObject({ events: 4000, lost: 0 });
  });

  it.each(['overwrite', 'discard'] as const)(
    'says how many were lost, and where, in %s mode',
    async (mode) => {
      const provider = provide(101, 4);
      provider.declare('tick u32 number');
      const recording = record('*', { mode });
      for (let round = 0; round < 20; round++) {
        for (let number = 0; number < 300 * round; number++) provider.emit(0, provider.tried);
        recording.turn();
      }
      await recording.finish();
      const events = reported();
      let following = 0;
      for (const { number, lost } of events) {
        expect(number).toBe(following + Number(lost ?? 0));
        following = number + 1;
      }
      const { events: count, lost } = recording.totals;
      expect(count).toBe(events.length);
      expect(count + lost).toBe(provider.tried);
      expect(lost).toBeGreaterThan(1000);
      if (mode === 'discard') expect(provider.discarded).toBe(lost);
      expect(provider.word(0)).toBe(0);
    },
  );

  it('finds new programs and new events, and reads programs that died to their end', async () => {
    const recording = record();
    const provider = provide(101);
    provider.declare('early u32 number');
    await until(() => {
      recording.turn();
      return provider.word(0) === 1;
    });
    provider.emit(0, 0);
    const late = provider.declare('late u32 number');
    await until(() => {
      recording.turn();
      return provider.word(late) === 1;
    });
    provider.emit(late, 1);
    provider.emit(0, 2);
    provider.die();
    await until(() => {
      recording.turn();
      return recording.totals.threads === 0;
    });
    expect(recording.totals).toMatchObject({ events: 3, lost: 0, eventNames: 2 });
    await recording.finish();
    expect(numbers(reported())).toEqual([0, 1, 2]);
  });

  it('keeps to the processes that are wanted', async () => {
    const provider = provide(101);
    provider.declare('tick u32 number');
    const recording = record('*', { wantsProcess: (pid) => pid !== process.pid });
    expect(provider.word(0)).toBe(0);
    await recording.finish();
    expect(reported()).toEqual([]);
  });

  it('keeps the newest events when its size is limited', async () => {
    const provider = provide(101, 64);
    provider.declare('tick u32 number');
    const recording = record('*', { windowSize: 64 * 1024 });
    for (let number = 0; number < 50_000; number++) {
      provider.emit(0, number);
      if (number % 1000 === 0) recording.turn();
    }
    await recording.finish();
    const events = numbers(reported());
    expect(events.at(-1)).toBe(49_999);
    expect(events).toEqual(upTo(events.length, 50_000 - events.length));
    expect(events.length).toBeGreaterThan(2000);
    expect(events.length).toBeLessThan(5000);
  });

  it('goes on without a provider whose file has lost its lane', async () => {
    const [broken, whole] = [provide(101), provide(102)];
    for (const provider of [broken, whole]) provider.declare('tick u32 number');
    const recording = record();
    broken.emit(0, 1);
    whole.emit(0, 2);
    recording.turn();
    truncateSync(broken.path, PROVIDER_OFFSET.lane + 8);
    whole.emit(0, 3);
    recording.turn();
    expect(warnings).toEqual([expect.stringMatching(/its first page is cut off/)]);
    expect(await recording.finish()).toMatchObject({ state: 'finished' });
    expect(numbers(reported())).toEqual([1, 2, 3]);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, 2 ** 60, -1])(
    'goes on without a provider that says it was made at %d',
    async (createdAt) => {
      const [broken, whole] = [provide(101), provide(102)];
      for (const provider of [broken, whole]) provider.declare('tick u32 number');
      overwrite(broken.path, PROVIDER_HEADER.createdAt, new Float64Array([createdAt]));
      const recording = record();
      for (const provider of [broken, whole]) provider.setWord(0, 1);
      broken.emit(0, 1);
      whole.emit(0, 2);
      recording.turn();
      expect(warnings).toEqual([expect.stringMatching(/it says no time of its making/)]);
      await recording.finish();
      expect(numbers(reported())).toEqual([2]);
    },
  );

  it('leaves a file that can be read when it is killed', () => {
    const provider = provide(101);
    provider.declare('tick u32 number');
    const recording = record();
    for (let number = 0; number < 1000; number++) provider.emit(0, number);
    recording.turn();
    for (let number = 1000; number < 1100; number++) provider.emit(0, number);
    const copy = join(outputs, 'copy.dat');
    copyFileSync(output, copy);
    expect(numbers(reported(copy))).toEqual(upTo(1000));
  });
});

describe('a file that is recorded', () => {
  it('has one writer, and nobody finishes it before its end', async () => {
    const provider = provide(101);
    provider.declare('tick u32 number');
    const recording = record();
    provider.emit(0, 1);
    recording.turn();
    expect(() => record()).toThrow(/another program is recording into it/);
    await expect(finishRecording(output, { files: recordingFiles() })).rejects.toThrow(
      /another program is recording into it/,
    );
    provider.emit(0, 2);
    await recording.finish();
    expect(numbers(reported())).toEqual([1, 2]);
    expect(await finishRecording(output, { files: recordingFiles() })).toMatchObject({ how: 'already' });
  });
});

describe('dumpLanes()', () => {
  it('writes what a living program holds, and changes nothing', async () => {
    const provider = provide(101, 8);
    provider.declare('tick u32 number');
    const file = ProviderFile.open(provider.path, UID, 'change');
    ProviderSession.attach(file, { patterns: ['*'], matches: () => true, mode: 'overwrite' }, 0);
    for (let number = 0; number < 5000; number++) provider.emit(0, number);
    const dump = await dumpLanes([file], output, 'test');
    const events = numbers(reported());
    const overwritten = 5000 - events.length;
    expect(events).toEqual(upTo(events.length, overwritten));
    expect(dump).toMatchObject({ events: events.length, lost: 0, overwritten, threads: 1, warnings: [] });
    expect(reported().map(({ lost }) => lost)).toEqual(
      events.map((number) => (number === overwritten ? overwritten : undefined)),
    );
    expect(events.length).toBeGreaterThan(7 * 200);
    expect(provider.word(0)).toBe(1);
    file.close();
  });

  it('writes what is left of a program that died, and only what is asked for', async () => {
    const provider = provide(101, 8);
    provider.declare('a u32 number');
    provider.declare('b u32 number');
    provider.setWord(0, 1);
    provider.setWord(1, 1);
    for (let number = 0; number < 10; number++) provider.emit(number % 2, number);
    provider.die();
    expect(readdirSync(folder)).toHaveLength(1);
    const file = ProviderFile.open(provider.path, UID);
    const dump = await dumpLanes([file], output, 'test', { matches: eventMatcher('b') });
    expect(dump.events).toBe(5);
    expect(numbers(reported())).toEqual([1, 3, 5, 7, 9]);
    file.close();
  });
});

/** Writes into a file what its owner never would. */
function overwrite(path: string, position: number, bytes: NodeJS.TypedArray): void {
  const fd = openSync(path, 'r+');
  writeSync(fd, bytes, 0, bytes.byteLength, position);
  closeSync(fd);
}

/** Waits until something is so. */
async function until(isSo: () => boolean): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (!isSo()) {
    if (performance.now() > deadline) throw new Error('Cannot wait any longer');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
