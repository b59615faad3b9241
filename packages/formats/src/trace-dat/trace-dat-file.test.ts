/**
 * Files of versions 6 and 7, ours and trace-cmd's, whole and damaged. A failing run prints its seed; USERTRACE_SEED
 * replays it, USERTRACE_RUNS says how many damaged files to try.
 */

import { afterAll, describe, expect, test } from 'vitest';
import { nodeFiles } from '../file-port.ts';
import { description, LanePages, location, random, u32, userFormat } from '../lane-pages.sim.ts';
import { MemoryFiles } from '../memory-files.sim.ts';
import { RecordingFile } from '../recording/recording-file.ts';
import { reportJson } from '../report/report-json.ts';
import { reportText } from '../report/report-text.ts';
import { hasTraceCmd, ourLines, testFolder, traceCmd, traceCmdLines } from '../trace-cmd.sim.ts';
import { compressedV7 } from './compressed-v7.sim.ts';
import { memoryFile } from './memory-file.ts';
import { TraceDatError } from './trace-dat-error.ts';
import { TraceDatFile } from './trace-dat-file.ts';
import { writeTraceDat } from './write-trace-dat.ts';

const seed = Number(process.env['USERTRACE_SEED'] ?? Date.now() % 2 ** 31);
const runs = Number(process.env['USERTRACE_RUNS'] ?? 4000);
const folder = testFolder();
afterAll(folder.remove);

const FORMATS = [
  userFormat('tick', 2000, 'u32 n'),
  userFormat('say', 2001, '__rel_loc char[] s; s16 level; char[8] tag'),
];
const DESCRIPTION = description(FORMATS, [
  [100, 'node'],
  [101, 'worker'],
]);

function lanePages(count: number): Uint8Array[] {
  return [100, 101].map((pid) => {
    const pages = new LanePages();
    for (let index = 0; index < count; index++) {
      const time = 1_000_000_000n + BigInt(index) * 1000n + BigInt(pid % 2);
      if (index % 100 === 99) pages.lose(pid === 100 ? 4 : 'unknown');
      if (index % 3 !== 0) pages.add(time, 2000, pid, u32(index));
      else {
        const text = Buffer.from(`says ${index}\0`);
        const head = Buffer.concat([
          location(10, text.length),
          Buffer.from([0xfe, 0xff]),
          Buffer.from('tag\0\0\0\0\0'),
        ]);
        pages.add(time, 2001, pid, Buffer.concat([head, text]));
      }
    }
    return pages.built();
  });
}

async function v6(lanes: readonly Uint8Array[]): Promise<Uint8Array> {
  const files = new MemoryFiles();
  const file = files.create('v6');
  await writeTraceDat(
    file,
    DESCRIPTION,
    lanes.map((pages) => ({
      size: pages.length,
      read: (position, target) => {
        target.set(pages.subarray(position, position + target.length));
        return target.length;
      },
    })),
  );
  return wholeFile(files, 'v6');
}

function v7(lanes: readonly Uint8Array[]): Uint8Array {
  const files = new MemoryFiles();
  const sizes = { regionSize: 65_536, headerSize: 4096, metadataSize: 32_768 };
  const recording = RecordingFile.create(
    'v7',
    { uname: 'Linux', version: 'usertrace', traceId: 1n, ...sizes },
    files,
  );
  for (const format of FORMATS) recording.addFormat(format);
  for (const [pid, comm] of DESCRIPTION.commByPid) recording.setComm(pid, comm);
  for (const pages of lanes) recording.append(recording.addLane(), pages);
  recording.checkpoint();
  return wholeFile(files, 'v7');
}

function wholeFile(files: MemoryFiles, path: string): Uint8Array {
  const file = files.openToRead(path);
  const bytes = new Uint8Array(file.size());
  file.read(0, bytes);
  return bytes;
}

const lines = (bytes: Uint8Array): string[] => [...reportText(TraceDatFile.read(memoryFile(bytes)))];

describe('TraceDatFile', () => {
  test('gives the same events for every version and compression', async () => {
    const lanes = lanePages(1000);
    const expected = lines(await v6(lanes));
    expect(expected.filter((line) => /tick:|say:/.test(line))).toHaveLength(2000);
    expect(expected).toContain(
      '            node-100   [000]     1.000003: say:                  s=says 3 level=65534 tag=tag',
    );
    expect(lines(v7(lanes))).toEqual(expected);
    expect(lines(compressedV7(DESCRIPTION, lanes))).toEqual(expected);
  });

  test.skipIf(!hasTraceCmd)('reads what trace-cmd writes', async () => {
    const path = folder.path('ours.dat');
    const file = nodeFiles().create(path);
    file.write(0, await v6(lanePages(1000)));
    file.close();
    const converted = folder.path('converted.dat');
    traceCmd('convert', '--file-version', '7', '--compression', 'none', '-i', path, '-o', converted);
    expect(ourLines(converted)).toEqual(ourLines(path));
    expect(traceCmdLines(converted)).toEqual(ourLines(path));
    const back = folder.path('back.dat');
    traceCmd('convert', '--file-version', '6', '-i', converted, '-o', back);
    expect(ourLines(back)).toEqual(ourLines(path));
  });

  test.each([
    ['an empty file', new Uint8Array(0), /no trace.dat file, or nothing is recorded/],
    ['a text', Buffer.from('hello, this is no trace at all'), /no trace.dat file/],
    ['version 5', Buffer.from('\x17\x08\x44tracing5\0\0\x08\0\x10\0\0', 'latin1'), /version "5"/],
    ['big-endian', Buffer.from('\x17\x08\x44tracing6\0\x01\x08\0\0\x10\0', 'latin1'), /big-endian/],
    [
      'an unknown compression',
      Buffer.from('\x17\x08\x44tracing7\0\0\x08\0\x10\0\0lzma\x001\0', 'latin1'),
      /"lzma"/,
    ],
    ['the start alone', Buffer.from('\x17\x08\x44tracing6\0\0\x08\0\x10\0\0', 'latin1'), /the file ends/],
  ])('refuses %s with a sentence', (_, bytes, expected) => {
    expect(() => TraceDatFile.read(memoryFile(bytes))).toThrow(TraceDatError);
    expect(() => TraceDatFile.read(memoryFile(bytes))).toThrow(expected);
  });

  test('gives the events that are left of a file that is cut, and says so', async () => {
    const whole = await v6(lanePages(1000));
    const cut = whole.subarray(0, whole.length - 5000);
    const file = TraceDatFile.read(memoryFile(cut));
    expect(file.warnings).toEqual(['the file ends before CPU 1 does']);
    const left = [...reportText(file)];
    expect(left.length).toBeGreaterThan(1000);
    expect(left.length).toBeLessThan(lines(whole).length);
  });

  test(`never fails but with a sentence, whatever is damaged (USERTRACE_SEED=${seed})`, async () => {
    const lanes = lanePages(300);
    const originals = [await v6(lanes), v7(lanes), compressedV7(DESCRIPTION, lanes)];
    const choose = random(seed);
    let errors = 0;
    for (let run = 0; run < runs; run++) {
      const original = originals[run % originals.length] as Uint8Array;
      const bytes = damaged(original, choose);
      try {
        let events = 0;
        for (const line of reportText(TraceDatFile.read(memoryFile(bytes)))) events += Math.sign(line.length);
        for (const event of reportJson(TraceDatFile.read(memoryFile(bytes))))
          events += Math.sign(event.ts.length);
        expect(events).toBeLessThan(100_000);
      } catch (error) {
        errors += 1;
        if (!(error instanceof TraceDatError)) throw new Error(`run ${run}`, { cause: error });
      }
    }
    expect(errors).toBeGreaterThan(0);
    expect(errors).toBeLessThan(runs);
  }, 120_000);
});

/** A file with bits turned, numbers replaced, parts moved or its end cut off. */
function damaged(original: Uint8Array, choose: () => number): Uint8Array {
  const bytes = original.slice();
  const view = new DataView(bytes.buffer);
  // Most of the meaning lies where few bytes are zero.
  const place = (): number => {
    for (let tries = 0; tries < 50; tries++) {
      const position = Math.floor(choose() ** 2 * (bytes.length - 8));
      if (bytes[position] !== 0) return position;
    }
    return 0;
  };
  const times = 1 + Math.floor(choose() * 4);
  for (let time = 0; time < times; time++) {
    const position = place();
    const choice = choose();
    if (choice < 0.4) bytes[position] = (bytes[position] as number) ^ (1 << Math.floor(choose() * 8));
    else if (choice < 0.6) view.setUint32(position, Math.floor(choose() * 2 ** 32), true);
    else if (choice < 0.7) view.setBigUint64(position, BigInt(Math.floor(choose() * 2 ** 53)), true);
    else if (choice < 0.8) view.setBigUint64(position, 2n ** 64n - 1n, true);
    else if (choice < 0.9) bytes.copyWithin(position, place(), place());
    else return bytes.subarray(0, Math.floor(choose() * bytes.length));
  }
  return bytes;
}
