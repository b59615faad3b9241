import { describe, expect, it } from 'vitest';
import {
  parseEventNames,
  parseFormat,
  parseStats,
  parseUnsettled,
  parseUseReport,
  splitTrace,
} from './texts.ts';

describe('parseEventNames()', () => {
  it('reads SYSTEM:EVENT lines and no others', () => {
    expect(parseEventNames('user_events:a\nuser_events_multi:b.1\n\n')).toEqual([
      { system: 'user_events', event: 'a' },
      { system: 'user_events_multi', event: 'b.1' },
    ]);
    expect(parseEventNames('')).toEqual([]);
  });
});

describe('parseFormat()', () => {
  const text = [
    'name: req',
    'ID: 2001',
    'format:',
    '\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;',
    '\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;',
    '',
    '\tfield:u32 count;\toffset:8;\tsize:4;\tsigned:0;',
    '\tfield:char text[16];\toffset:12;\tsize:16;\tsigned:1;',
    '\tfield:__data_loc char[] msg;\toffset:28;\tsize:4;\tsigned:0;',
    '\tfield:struct point at;\toffset:32;\tsize:8;\tsigned:0;',
    '',
    'print fmt: "count=%u", REC->count',
    '',
  ].join('\n');

  it('reads the number and the own fields', () => {
    expect(parseFormat(text)).toEqual({
      id: 2001,
      fields: [
        { type: 'u32', name: 'count', offset: 8, size: 4, isSigned: false },
        { type: 'char[16]', name: 'text', offset: 12, size: 16, isSigned: true },
        { type: '__data_loc char[]', name: 'msg', offset: 28, size: 4, isSigned: false },
        { type: 'struct point', name: 'at', offset: 32, size: 8, isSigned: false },
      ],
    });
  });

  it('reads an event without fields', () => {
    expect(parseFormat('name: e\nID: 7\nformat:\n\nprint fmt: ""\n')).toEqual({ id: 7, fields: [] });
  });
});

describe('parseUseReport()', () => {
  it('reads who uses what, and the counts', () => {
    expect(parseUseReport('a # Used by ftrace perf\nb\n\nActive: 2\nBusy: 1\n')).toEqual({
      events: [
        { event: 'a', users: ['ftrace', 'perf'] },
        { event: 'b', users: [] },
      ],
      activeCount: 2,
      busyCount: 1,
    });
  });

  it('reads the report of a system without events', () => {
    expect(parseUseReport('\nActive: 0\nBusy: 0\n')).toEqual({ events: [], activeCount: 0, busyCount: 0 });
  });
});

describe('parseStats()', () => {
  it('takes overwritten and dropped events as lost', () => {
    const text =
      'entries: 3\noverrun: 5\ncommit overrun: 0\nbytes: 120\ndropped events: 2\nread events: 40\n';
    expect(parseStats(text)).toEqual({ readCount: 40, lostCount: 7 });
  });
});

describe('splitTrace()', () => {
  it('keeps the header apart from events', () => {
    const text = '# tracer: nop\n#\n a-1 [000] ..... 1.000001: a: x=1\n a-1 [000] ..... 1.000002: a: x=2\n';
    expect(splitTrace(text)).toEqual({
      header: ['# tracer: nop', '#'],
      events: [' a-1 [000] ..... 1.000001: a: x=1', ' a-1 [000] ..... 1.000002: a: x=2'],
    });
  });

  it('finds no events in an empty trace', () => {
    expect(splitTrace('# tracer: nop\n#\n').events).toEqual([]);
  });
});

describe('parseUnsettled()', () => {
  it('reads one word a line', () => {
    const text = 'a address=0x7f00 bit=31 state=faulted tasks=12,13\nb address=0x8 bit=0 state=late tasks=\n';
    expect(parseUnsettled(text)).toEqual([
      { event: 'a', address: '0x7f00', bit: 31, state: 'faulted', tids: [12, 13] },
      { event: 'b', address: '0x8', bit: 0, state: 'late', tids: [] },
    ]);
    expect(parseUnsettled('')).toEqual([]);
  });
});
