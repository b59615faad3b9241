import { describe, expect, it } from 'vitest';
import { MemoryFiles } from '../memory-files.sim.ts';
import { RecordingFile } from './recording-file.ts';

const MIB = 2 ** 20;
const PIECE = new Uint8Array(MIB);

/** Calls for ranges, in MiB from the first one. */
function recorded(mebibytes: number, windowSize?: number): { begun: number[]; dropped: number[] } {
  const files = new MemoryFiles();
  const calls: { begun: number[]; dropped: number[] } = { begun: [], dropped: [] };
  const watched = {
    openToRead: files.openToRead.bind(files),
    openToChange: files.openToChange.bind(files),
    createAnew: files.createAnew.bind(files),
    rename: files.rename.bind(files),
    remove: files.remove.bind(files),
    freeBytes: files.freeBytes.bind(files),
    create: (path: string) => ({
      ...files.create(path),
      beginWriting: (position: number, length: number) => calls.begun.push(position / MIB, length / MIB),
      dropCached: (position: number, length: number) => calls.dropped.push(position / MIB, length / MIB),
    }),
  };
  const settings = { uname: 'Linux', version: 'usertrace test', traceId: 1n };
  const recording = RecordingFile.create(
    'trace.dat',
    windowSize === undefined ? settings : { ...settings, windowSize },
    watched,
  );
  const lane = recording.addLane();
  for (let count = 0; count < mebibytes; count++) recording.append(lane, PIECE);
  recording.close();
  const first = calls.begun[0] ?? 0;
  const relative = (all: readonly number[]): number[] =>
    all.map((value, index) => (index % 2 === 0 ? value - first : value));
  return { begun: relative(calls.begun), dropped: relative(calls.dropped) };
}

describe('a recording', () => {
  it('is written to the disk in steps, and leaves memory some steps later', () => {
    const { begun, dropped } = recorded(83);
    expect(begun).toEqual(Array.from({ length: 10 }, (_, step) => [step * 8, 8]).flat());
    expect(dropped).toEqual([0, 8, 8, 8]);
  });

  it('that keeps a window is left to the kernel: what is dropped soon need not reach the disk', () => {
    expect(recorded(20, 4 * MIB)).toEqual({ begun: [], dropped: [] });
  });
});
