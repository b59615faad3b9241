import { describe, expect, test } from 'vitest';
import { description, LanePages, location, u32, userFormat } from '../lane-pages.sim.ts';
import { compressedV7 } from '../trace-dat/compressed-v7.sim.ts';
import { memoryFile } from '../trace-dat/memory-file.ts';
import { TraceDatFile } from '../trace-dat/trace-dat-file.ts';
import type { EventFilter } from './event-filter.ts';
import { reportJson } from './report-json.ts';
import { reportText } from './report-text.ts';

const text = Buffer.from('grüße\0');
const FIELDS =
  's16 small; u64 large; s64 exact; char[6] tag; struct point p 3; __rel_loc char[] s; __rel_loc u8[] raw';
const PAYLOAD = Buffer.concat([
  Buffer.from([0xfe, 0xff]),
  Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
  Buffer.from([0xfb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
  Buffer.from('tag\0\0\0'),
  Buffer.from([1, 2, 3]),
  location(4, text.length),
  location(text.length, 2),
  text,
  Buffer.from([0xab, 0xcd]),
]);

function file(): TraceDatFile {
  const lanes = [100, 101].map((pid) => {
    const pages = new LanePages();
    pages.add(9_007_199_254_740_993n, 2000, pid, PAYLOAD);
    pages.lose(2);
    pages.add(9_007_199_254_741_993n, 2001, pid, u32(pid));
    pages.add(9_007_199_254_742_993n, 2000, pid, PAYLOAD);
    return pages.built();
  });
  const formats = [userFormat('all', 2000, FIELDS), userFormat('tick', 2001, 'u32 n')];
  const comms = [[100, Buffer.from('nöde').toString('latin1')]] as const;
  return TraceDatFile.read(memoryFile(compressedV7(description(formats, comms), lanes)));
}

describe('reportJson()', () => {
  test('gives every field its value', () => {
    const [first] = reportJson(file());
    expect(first).toEqual({
      ts: '9007199254740993',
      cpu: 0,
      pid: 100,
      comm: 'nöde',
      system: 'user_events',
      event: 'all',
      fields: {
        small: -2,
        large: '18446744073709551615',
        exact: -5,
        tag: 'tag',
        p: '010203',
        s: 'grüße',
        raw: 'abcd',
      },
    });
  });

  test('tells where events were lost', () => {
    const events = [...reportJson(file())];
    expect(events.map(({ cpu, lost }) => [cpu, lost])).toEqual([
      [0, undefined],
      [1, undefined],
      [0, 2],
      [1, 2],
      [0, undefined],
      [1, undefined],
    ]);
  });
});

const count = (filter: EventFilter): number => [...reportJson(file(), filter)].length;

describe('a filter', () => {
  test('lets events through by name, thread and time', () => {
    expect(count({})).toBe(6);
    expect(count({ isEventWanted: (system, event) => system === 'user_events' && event === 'tick' })).toBe(2);
    expect(count({ pids: new Set([101]) })).toBe(3);
    expect(count({ from: 9_007_199_254_741_993n })).toBe(4);
    expect(count({ until: 9_007_199_254_741_993n })).toBe(2);
    expect(count({ pids: new Set([100]), isEventWanted: (_, event) => event === 'tick' })).toBe(1);
  });

  test('hides no loss: it is told before the following event that is shown', () => {
    const lines = [...reportText(file(), { isEventWanted: (_, event) => event === 'all' })];
    expect(lines.filter((line) => line.includes('DROPPED'))).toEqual([
      'CPU:0 [2 EVENTS DROPPED]',
      'CPU:1 [2 EVENTS DROPPED]',
    ]);
  });
});
