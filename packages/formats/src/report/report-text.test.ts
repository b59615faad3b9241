/** Our reports against those of the real trace-cmd, line for line, where it is installed. */

import { encodePrintPayload, PRINT_EVENT_ID, PRINT_FORMAT_TEXT } from '@usertrace/abi';
import { afterAll, describe, expect, test } from 'vitest';
import { nodeFiles } from '../file-port.ts';
import { description, LanePages, location, random, u32, userFormat } from '../lane-pages.sim.ts';
import { hasTraceCmd, ourLines, testFolder, traceCmdLines } from '../trace-cmd.sim.ts';
import type { TraceDescription } from '../trace-dat/description.ts';
import { writeTraceDat } from '../trace-dat/write-trace-dat.ts';

const folder = testFolder();
afterAll(folder.remove);

const S = 1_000_000_000n;
const PID = 1234;
const bytes = (...parts: (Uint8Array | string | number[])[]): Uint8Array =>
  Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : Buffer.from(part))));

let fileCount = 0;
async function written(what: TraceDescription, lanes: readonly Uint8Array[]): Promise<string> {
  const path = folder.path(`${++fileCount}.dat`);
  const file = nodeFiles().create(path);
  const sources = lanes.map((pages) => ({
    size: pages.length,
    read: (position: number, target: Uint8Array): number => {
      target.set(pages.subarray(position, position + target.length));
      return target.length;
    },
  }));
  await writeTraceDat(file, what, sources);
  file.close();
  return path;
}

/** A file with one event of each of these, in a lane. */
async function eventsFile(
  events: readonly (readonly [fields: string, payload: Uint8Array])[],
): Promise<string> {
  const pages = new LanePages();
  for (const [index, [, payload]] of events.entries())
    pages.add(S + BigInt(index) * 777n, 2000 + index, PID, payload);
  const formats = events.map(([fields], index) => userFormat(`event_${index}`, 2000 + index, fields));
  return written(description(formats, [[PID, 'node']]), [pages.built()]);
}

const SCALARS = ['s64', 'u64', 's32', 'u32', 'int', 'unsigned int', 's16', 'u16', 'short', 'unsigned short'];
const BYTES = ['s8', 'u8', 'char', 'unsigned char'];
const NUMBER = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
const SMALL = [5, 0, 0, 0, 0, 0, 0, 0];
const sizeOf = (type: string): number =>
  /64/.test(type) ? 8 : /32|int/.test(type) ? 4 : /16|short/.test(type) ? 2 : 1;
const filled = (count: number, byte: number): Uint8Array => new Uint8Array(count).fill(byte);
const relative = (text: Uint8Array | string, gap = 0): Uint8Array => {
  const value = bytes(text);
  return bytes(location(gap, value.length), filled(gap, 7), value);
};
const absolute = (text: Uint8Array | string): Uint8Array => {
  const value = bytes(text);
  return bytes(location(12, value.length), value);
};

describe.skipIf(!hasTraceCmd)('reportText() prints as trace-cmd report does', () => {
  test('numbers of every type, negative ones too', async () => {
    const types = [...SCALARS, ...BYTES];
    const path = await eventsFile(
      types.flatMap((type) =>
        [NUMBER, SMALL].map(
          (value) => [`${type} a; u8 z`, bytes(value.slice(0, sizeOf(type)), [9])] as const,
        ),
      ),
    );
    expect(ourLines(path)).toEqual(traceCmdLines(path));
    expect(ourLines(path)).toContain(
      '            node-1234  [000]     1.000003: event_4:              a=-2 z=9',
    );
  });

  test('texts: empty, long, UTF-8, with line ends, in all kinds of fields', async () => {
    const texts = [
      '\0',
      'plain\0',
      'ünïcode ✓\0',
      `${'x'.repeat(300)}\0`,
      `${'y'.repeat(3000)}\0`,
      'a\nb\n\0',
      'tab\t\0',
    ];
    const path = await eventsFile([
      ...texts.map((text) => ['__rel_loc char[] s', relative(text)] as const),
      ...texts.map((text) => ['__data_loc char[] s', absolute(text)] as const),
      ...texts.map((text) => ['__rel_loc unsigned char[] s', relative(text)] as const),
      ['__rel_loc char[] s; u8 z', relative('behind\0', 1)],
      ['char[8] s; u8 z', bytes('short\0\0\0', [3])],
      ['char[8] s; u8 z', bytes('eight ch', [3])],
      ['unsigned char[8] s; u8 z', bytes('\x01\x7fab\0cde', [3])],
      ['char[600] s', bytes('l'.repeat(600))],
      ['__rel_loc char[] a; __rel_loc char[] b', bytes(location(4, 3), location(3, 4), 'ab\0cde\0')],
    ]);
    expect(ourLines(path)).toEqual(traceCmdLines(path));
  });

  test('structs, byte arrays and events without fields', async () => {
    const path = await eventsFile([
      ['struct point p 16; u8 z', bytes(filled(16, 3), [1])],
      ['struct point p 8; u8 z', bytes(filled(8, 3), [1])],
      ['struct point p 3; u8 z', bytes([1, 2, 3], [1])],
      ['__rel_loc u8[] bytes; u8 z', relative(bytes([1, 2, 3, 4]), 1)],
      ['__data_loc u32[] words', absolute(bytes([1, 2, 3, 4]))],
      ['', bytes()],
    ]);
    expect(ourLines(path)).toEqual(traceCmdLines(path));
  });

  test('jumps in time, and absolute stamps of late clocks', async () => {
    const pages = new LanePages();
    let time = 500n;
    for (const step of [1n, 2n ** 27n - 1n, 2n ** 27n, 2n ** 27n + 1n, 2n ** 31n, 2n ** 40n, 5n, 2n ** 50n]) {
      time += step;
      pages.add(time, 2000, PID, u32(1));
    }
    for (const step of [1n, 2n ** 28n, 2n ** 45n]) pages.add((time += step), 2000, PID, u32(2), true);
    const late = new LanePages();
    for (const step of [0n, 10n, 2n ** 30n]) late.add(2n ** 60n + 12_345n + step, 2000, PID, u32(3), true);
    for (const step of [2n ** 31n, 2n ** 31n + 7n]) late.add(2n ** 60n + step, 2000, PID, u32(4));
    const path = await written(description([userFormat('jump', 2000, 'u32 n')]), [
      pages.built(),
      late.built(),
    ]);
    expect(ourLines(path)).toEqual(traceCmdLines(path));
  });

  test('lost events, their number known or not', async () => {
    const lanes = [3, 'unknown', 1_000_000] as const;
    const path = await written(
      description([userFormat('tick', 2000, 'u32 n')]),
      lanes.map((lost, lane) => {
        const pages = new LanePages();
        pages.add(S, 2000, PID + lane, u32(1));
        pages.lose(lost);
        pages.add(S + 1000n, 2000, PID + lane, u32(2));
        pages.lose(lost);
        pages.lose(7);
        pages.add(S + 2000n, 2000, PID + lane, u32(3));
        return pages.built();
      }),
    );
    expect(ourLines(path)).toEqual(traceCmdLines(path));
    expect(ourLines(path).filter((line) => line.includes('DROPPED'))).toContain('CPU:0 [3 EVENTS DROPPED]');
  });

  test('events that the file does not describe, and threads without a name', async () => {
    const pages = new LanePages();
    for (const pid of [0, 5, -1, 12_345_678]) pages.add(S, 2000, pid, u32(pid));
    pages.add(S + 1n, 3000, PID, u32(1));
    const comms = [[5, 'a longer name than usual']] as const;
    const path = await written(description([userFormat('tick', 2000, 'int n')], comms), [pages.built()]);
    expect(ourLines(path)).toEqual(traceCmdLines(path));
  });

  test.each(['mono', 'local', 'global', 'boot', 'counter', 'x86-tsc', 'mono_raw', 'tai', 'uptime', 'perf'])(
    'times of the clock %s',
    async (clock) => {
      const pages = new LanePages();
      for (const time of [0n, 499n, 500n, 999_999_499n, 999_999_500n, 123_456n * S])
        pages.add(time, 2000, PID, u32(1));
      const path = await written(description([userFormat('tick', 2000, 'int n')], [], clock), [
        pages.built(),
      ]);
      expect(ourLines(path)).toEqual(traceCmdLines(path));
    },
  );

  test.each([1, 2, 3, 5, 9])('%i lanes of several threads, some empty, 20,000 events', async (count) => {
    const choose = random(count);
    const lanes = Array.from({ length: count }, () => new LanePages());
    let time = 5n * S;
    for (let index = 0; index < 20_000; index++) {
      // Events of the same nanosecond in different lanes are part of it.
      if (choose() < 0.8) time += BigInt(Math.floor(choose() * 5000));
      const lane = Math.floor(choose() * (count > 2 ? count - 1 : count));
      if (choose() < 0.001) lanes[lane]?.lose(Math.ceil(choose() * 50));
      lanes[lane]?.add(time, 2000 + Math.floor(choose() * 3), 100 + lane, u32(index));
    }
    const formats = ['one', 'two', 'three'].map((name, id) => userFormat(name, 2000 + id, 'u32 n'));
    const comms = lanes.map((_, lane) => [100 + lane, `worker ${lane}`] as const);
    const path = await written(
      description(formats, comms),
      lanes.map((lane) => lane.built()),
    );
    const lines = ourLines(path);
    expect(lines.length).toBeGreaterThan(20_000);
    expect(lines).toEqual(traceCmdLines(path));
  });

  test('marks that were written to trace_marker', async () => {
    const pages = new LanePages();
    for (const [index, text] of ['hello', 'a line\n', 'two\nlines\n\n', ''].entries()) {
      pages.add(S + BigInt(index), PRINT_EVENT_ID, PID, encodePrintPayload(bytes(text)));
    }
    const format = { system: 'ftrace', text: PRINT_FORMAT_TEXT };
    const path = await written(description([format]), [pages.built()]);
    expect(ourLines(path)).toEqual(traceCmdLines(path));
    expect(ourLines(path)[1]).toMatch(/ print: +0x0: hello$/);
  });

  test('files without events', async () => {
    const path = await written(description([]), []);
    expect(ourLines(path)).toEqual(['cpus=0']);
    const empty = await written(description([]), [bytes(), bytes()]);
    expect(ourLines(empty)).toEqual(traceCmdLines(empty));
  });
});
