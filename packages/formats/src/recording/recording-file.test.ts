/**
 * Recordings that are cut off at every change to the file, in the middle of writes too, and what can be read then. A
 * failing run prints its seed; USERTRACE_SEED replays it.
 */

import { afterAll, describe, expect, test } from 'vitest';
import { nodeFiles } from '../file-port.ts';
import { LanePages, random, u32, userFormat } from '../lane-pages.sim.ts';
import { MemoryFiles } from '../memory-files.sim.ts';
import { reportText } from '../report/report-text.ts';
import { hasTraceCmd, materialize, ourLines, testFolder, traceCmdLines } from '../trace-cmd.sim.ts';
import { TraceDatError } from '../trace-dat/trace-dat-error.ts';
import { TraceDatFile } from '../trace-dat/trace-dat-file.ts';
import type { RecordingLane } from './lane-regions.ts';
import { finishRecording, type FinishOptions } from './finish-recording.ts';
import { RecordingFile, type RecordingSettings } from './recording-file.ts';

const seed = Number(process.env['USERTRACE_SEED'] ?? Date.now() % 2 ** 31);
const folder = testFolder();
afterAll(folder.remove);

const PATH = 'trace.dat';
const KIB = 1024;
const SETTINGS: RecordingSettings = {
  uname: 'Linux test 6.1.0 x86_64',
  version: 'usertrace 0.1.0',
  traceId: 5n,
  regionSize: 64 * KIB,
  headerSize: 64 * KIB,
  metadataSize: 512 * KIB,
};

function report(files: MemoryFiles): string[] {
  return [...reportText(TraceDatFile.read(files.openToRead(PATH)))];
}

/** Pages of one event each, from a time on. */
function pagesFrom(time: number, pid: number, count: number): Uint8Array {
  const pages = new LanePages();
  for (let index = 0; index < count; index++) {
    pages.lose(time % 5 === 0 ? 3 : 0);
    pages.add(BigInt(time + index), 2000, pid, u32(time + index));
    pages.lose(0);
  }
  return pages.built();
}

interface Recorded {
  readonly recording: RecordingFile;
  /** After so many changes, the report that a reader has to get; in the order of changes. */
  readonly checkpoints: { readonly changes: number; readonly lines: string[] }[];
}

/** Records at random: lanes, threads, events, pages and checkpoints. */
function record(files: MemoryFiles, settings: RecordingSettings, steps: number, maxLanes: number): Recorded {
  const choose = random(seed);
  const recording = RecordingFile.create(PATH, settings, files);
  const checkpoints = [{ changes: files.changes.length, lines: report(files) }];
  recording.addFormat(userFormat('tick', 2000, 'u32 n'));
  const lanes: RecordingLane[] = [];
  let time = 1_000_000;
  let formats = 0;
  for (let step = 0; step < steps; step++) {
    const choice = choose();
    if (lanes.length === 0 || (choice < 0.05 && lanes.length < maxLanes)) {
      lanes.push(recording.addLane());
      recording.setComm(100 + lanes.length, `thread ${lanes.length}`);
    } else if (choice < 0.1) {
      recording.addFormat(userFormat(`event_${formats}`, 3000 + formats++, 'u32 a; __rel_loc char[] s'));
    } else if (choice < 0.7) {
      const index = Math.floor(choose() * lanes.length);
      const count = 1 + Math.floor(choose() * 5);
      recording.append(lanes[index] as RecordingLane, pagesFrom((time += 10), 101 + index, count));
    } else {
      recording.checkpoint();
      checkpoints.push({ changes: files.changes.length, lines: report(files) });
    }
  }
  recording.checkpoint();
  checkpoints.push({ changes: files.changes.length, lines: report(files) });
  return { recording, checkpoints };
}

/** Every state that a kill can leave: after each change, and after each page of each write. */
function* killedStates(
  changes: MemoryFiles['changes'],
): Generator<{ files: MemoryFiles; done: number; isTorn: boolean }> {
  const files = new MemoryFiles();
  for (const [done, change] of changes.entries()) {
    yield { files, done, isTorn: false };
    if (change.kind === 'write') {
      const firstCut = 4096 - (change.position % 4096);
      for (let cut = firstCut; cut < change.bytes.length; cut += 4096) {
        files.apply({ ...change, bytes: change.bytes.subarray(0, cut) });
        yield { files, done, isTorn: true };
      }
    }
    files.apply(change);
  }
  yield { files, done: changes.length, isTorn: false };
}

/** What a reader gets in every state that a kill can leave. */
function expectReadable(
  files: MemoryFiles,
  { checkpoints }: Recorded,
  sample?: (files: MemoryFiles) => void,
): number {
  let states = 0;
  let current = -1;
  for (const { files: killed, done, isTorn } of killedStates(files.changes)) {
    // A checkpoint is current once its pointer is written; holes are punched only afterwards.
    while (
      checkpoints[current + 1] !== undefined &&
      done >= pointerWrites(files, checkpoints[current + 1]?.changes ?? 0)
    ) {
      current += 1;
    }
    states += 1;
    const expected = checkpoints[current];
    if (expected === undefined) {
      expect(() => report(killed), `state ${done}`).toThrow();
      continue;
    }
    expect(report(killed), `state ${done}${isTorn ? ' torn' : ''}, USERTRACE_SEED=${seed}`).toEqual(
      expected.lines,
    );
    sample?.(killed);
  }
  return states;
}

/** How many changes there are up to the last write before `changes`: what follows it are punched holes. */
function pointerWrites(files: MemoryFiles, changes: number): number {
  let count = changes;
  while (count > 0 && files.changes[count - 1]?.kind === 'punch') count -= 1;
  return count;
}

const options = (files: MemoryFiles, inPlaceAtLeast = Number.MAX_SAFE_INTEGER): FinishOptions => ({
  files,
  inPlaceAtLeast,
});

describe('a recording that is killed', () => {
  test.each([
    ['several lanes', SETTINGS, 300, 6],
    ['one lane', SETTINGS, 200, 1],
    ['a window', { ...SETTINGS, windowSize: 160 * KIB }, 500, 4],
  ] as const)('holds everything up to the last checkpoint: %s', (_, settings, steps, lanes) => {
    const files = new MemoryFiles();
    const recorded = record(files, settings, steps, lanes);
    expect(expectReadable(files, recorded)).toBeGreaterThan(steps);
    expect(recorded.checkpoints.at(-1)?.lines.length).toBeGreaterThan(20);
  });

  test.skipIf(!hasTraceCmd)('is read by trace-cmd as by us', () => {
    const files = new MemoryFiles();
    const recorded = record(files, SETTINGS, 150, 5);
    let count = 0;
    expectReadable(files, recorded, (killed) => {
      if (++count % 12 !== 0) return;
      const path = folder.path('killed.dat');
      materialize(killed, PATH, path);
      expect(traceCmdLines(path), `USERTRACE_SEED=${seed}`).toEqual(ourLines(path));
    });
    expect(count).toBeGreaterThan(50);
  });

  test.each([
    ['by a copy', 6, Number.MAX_SAFE_INTEGER],
    ['in place', 1, 0],
  ] as const)('while it is finished %s is whole', async (how, lanes, inPlaceAtLeast) => {
    const files = new MemoryFiles();
    const { recording, checkpoints } = record(files, SETTINGS, 150, lanes);
    const expected = checkpoints.at(-1)?.lines;
    const before = files.changes.length;
    const result = await recording.finish(options(files, inPlaceAtLeast));
    expect(result).toMatchObject({ state: 'finished', how: how.replace('by a copy', 'copied') });
    for (const { files: killed, done, isTorn } of killedStates(files.changes)) {
      if (done < before) continue;
      expect(report(killed), `state ${done}${isTorn ? ' torn' : ''}, USERTRACE_SEED=${seed}`).toEqual(
        expected,
      );
    }
    for (let done = before; done <= files.changes.length; done++) {
      const killed = new MemoryFiles();
      for (const change of files.changes.slice(0, done)) killed.apply(change);
      const again = await finishRecording(PATH, options(killed, inPlaceAtLeast));
      expect(again.state).toBe('finished');
      expect(report(killed)).toEqual(expected);
    }
    expect(TraceDatFile.read(files.openToRead(PATH)).version).toBe(6);
    if (!hasTraceCmd) return;
    const path = folder.path('finished.dat');
    materialize(files, PATH, path);
    expect(traceCmdLines(path)).toEqual(expected);
  });
});

describe('RecordingFile', () => {
  test('keeps only the newest pages of a window, and gives the others back', () => {
    const files = new MemoryFiles();
    const windowSize = 128 * KIB;
    const recording = RecordingFile.create(PATH, { ...SETTINGS, windowSize }, files);
    recording.addFormat(userFormat('tick', 2000, 'u32 n'));
    const lanes = [recording.addLane(), recording.addLane()];
    let most = 0;
    for (let time = 1; time <= 2000; time++) {
      recording.append(lanes[time % 3 === 0 ? 1 : 0] as RecordingLane, pagesFrom(time * 2, 100, 1));
      if (time % 10 === 0) recording.checkpoint();
      most = Math.max(most, files.bytesOnDisk(PATH));
    }
    recording.checkpoint();
    const lines = report(files).filter((line) => line.includes('tick:'));
    expect(lines).toHaveLength(windowSize / 4096);
    expect(lines.at(-1)).toContain('n=4000');
    expect(lines[0]).toContain(`n=${4000 - 2 * (lines.length - 1)}`);
    expect(most).toBeLessThan(windowSize + 256 * KIB);
    // Its offsets come around: the file does not grow for ever.
    expect(files.openToRead(PATH).size()).toBeLessThan(1024 * KIB);
  });

  test('uses the space of metadata anew', () => {
    const files = new MemoryFiles();
    const recording = RecordingFile.create(PATH, SETTINGS, files);
    const lane = recording.addLane();
    for (let round = 0; round < 2000; round++) {
      recording.append(lane, pagesFrom(round + 1, 100, 1).subarray(0, 0));
      recording.setComm(round % 50, `name ${round}`);
      recording.checkpoint();
    }
    expect(files.bytesOnDisk(PATH)).toBeLessThan(80 * KIB);
  });

  test('refuses metadata that outgrow their place, and stays as it was', () => {
    const files = new MemoryFiles();
    const recording = RecordingFile.create(PATH, { ...SETTINGS, metadataSize: 8 * KIB }, files);
    for (let id = 0; id < 20; id++) recording.addFormat(userFormat(`event_${id}`, 2000 + id, 'u32 a; u64 b'));
    expect(() => recording.checkpoint()).toThrow(/Cannot describe the recording in 8192 bytes/);
    expect(report(files)).toEqual(['cpus=0']);
  });

  test('keeps the last checkpoint when the disk is full, and goes on when it is not', () => {
    const files = new MemoryFiles();
    const recording = RecordingFile.create(PATH, SETTINGS, files);
    recording.addFormat(userFormat('tick', 2000, 'u32 n'));
    const lane = recording.addLane();
    recording.append(lane, pagesFrom(11, 100, 1));
    recording.checkpoint();
    const before = report(files);
    files.writable = 4096;
    recording.append(lane, pagesFrom(21, 100, 1));
    expect(() => recording.append(lane, pagesFrom(31, 100, 1))).toThrow(/the disk is full/);
    recording.setComm(100, 'node');
    expect(() => recording.checkpoint()).toThrow(/the disk is full/);
    expect(report(files)).toEqual(before);
    files.writable = Number.MAX_SAFE_INTEGER;
    recording.append(lane, pagesFrom(41, 100, 1));
    recording.checkpoint();
    expect(report(files).map((line) => line.slice(-4))).toEqual(['us=1', 'n=11', 'n=21', 'n=41']);
  });

  test('stays version 7, and says why, when the disk has no room for the finished file', async () => {
    for (const limit of ['free', 'writable'] as const) {
      const files = new MemoryFiles();
      const { recording, checkpoints } = record(files, SETTINGS, 60, 3);
      files[limit] = 4096;
      const result = await recording.finish(options(files));
      expect(result).toEqual({
        state: 'unfinished',
        reason: expect.stringMatching(/no \d+ MiB free/) as string,
      });
      expect(report(files)).toEqual(checkpoints.at(-1)?.lines);
      files[limit] = Number.MAX_SAFE_INTEGER;
      expect(await finishRecording(PATH, options(files))).toMatchObject({ state: 'finished', how: 'copied' });
      expect(await finishRecording(PATH, options(files))).toMatchObject({
        state: 'finished',
        how: 'already',
      });
    }
  });

  test('on a real disk: a lane that outgrows its region, progress, and the finished file', async () => {
    const path = folder.path('real.dat');
    const recording = RecordingFile.create(path, SETTINGS);
    recording.addFormat(userFormat('tick', 2000, 'u32 n'));
    const [first, second] = [recording.addLane(), recording.addLane()];
    for (let time = 1; time <= 60; time++) recording.append(first, pagesFrom(time * 2, 100, 1));
    for (let time = 1; time <= 60; time++) recording.append(second, pagesFrom(time * 2 + 1, 101, 1));
    recording.checkpoint();
    const before = ourLines(path);
    expect(before.filter((line) => line.includes('tick:'))).toHaveLength(120);
    if (hasTraceCmd) expect(traceCmdLines(path)).toEqual(before);
    const progress: number[] = [];
    const onProgress = (done: number, total: number): void => void progress.push(done / total);
    expect(await recording.finish({ files: nodeFiles(), onProgress })).toMatchObject({ how: 'copied' });
    expect(progress.at(-1)).toBe(1);
    expect(ourLines(path)).toEqual(before);
    if (hasTraceCmd) expect(traceCmdLines(path)).toEqual(before);
  });

  test('holds offsets up to 2^53', async () => {
    const files = new MemoryFiles();
    const recording = RecordingFile.create(PATH, { ...SETTINGS, regionSize: 2 ** 49 }, files);
    recording.addFormat(userFormat('tick', 2000, 'u32 n'));
    const lanes = Array.from({ length: 15 }, () => recording.addLane());
    for (const [index, lane] of lanes.entries()) recording.append(lane, pagesFrom(11 + index, 100, 1));
    recording.checkpoint();
    const before = report(files);
    expect(before.filter((line) => line.includes('tick:'))).toHaveLength(15);
    expect(files.openToRead(PATH).size()).toBeGreaterThan(2 ** 52);
    await recording.finish(options(files));
    expect(report(files)).toEqual(before);
  });

  test('is not finished when somebody else recorded it', async () => {
    const files = new MemoryFiles();
    RecordingFile.create(PATH, { ...SETTINGS, version: '3.1.6' }, files).close();
    await expect(finishRecording(PATH, options(files))).rejects.toThrow(TraceDatError);
  });
});
