import { ENTRY_FLAG } from '@usertrace/abi';
import { Cpu, Nanoseconds } from '@usertrace/base';
import { describe, expect, test } from 'vitest';
import { ClockText } from './clock-text.ts';
import type { TraceRecord } from './trace-record.ts';
import { type TraceOptions, type TraceReading, TraceText, flagLetters } from './trace-text.ts';

const OPTIONS: TraceOptions = { irqInfo: true, recordTgid: false, contextInfo: true, annotate: true };

const record = (changes: Partial<TraceRecord> = {}): TraceRecord => ({
  cpu: Cpu(0),
  time: Nanoseconds(1500),
  typeId: 2000,
  flags: 0,
  preemptCount: 0,
  pid: 42,
  entry: new Uint8Array(12),
  lostBefore: 0,
  ...changes,
});

function newText(reading: Partial<TraceReading> = {}, options: Partial<TraceOptions> = {}): TraceText {
  return new TraceText(
    { file: 'trace', hasOverrun: false, ...reading },
    new ClockText(12_000_000_000n, true),
    { ...OPTIONS, ...options },
    {
      commOf: () => 'a-program',
      tgidOf: (pid) => (pid === 42 ? 40 : undefined),
      eventText: (typeId) => (typeId === 2000 ? 'ev: f=1\n' : undefined),
    },
  );
}

const startedLines = (reading: Partial<TraceReading>, options: Partial<TraceOptions> = {}): string[] => {
  const text = newText(reading, { ...options, contextInfo: false });
  return [0, 1, 2, 0, 2, 3].map((cpu) => text.lines(record({ cpu: Cpu(cpu) })).replace('ev: f=1\n', ''));
};

const mark = (cpu: number): string => `##### CPU ${cpu} buffer started ####\n`;

describe('TraceText', () => {
  test('prints task, CPU, flags and time before the event', () => {
    expect(newText().lines(record({ cpu: Cpu(3), preemptCount: 1 }))).toBe(
      '       a-program-42      [003] ...1.    12.000002: ev: f=1\n',
    );
  });

  test('prints thread groups in their column', () => {
    const text = newText({}, { recordTgid: true, irqInfo: false });
    expect(text.lines(record())).toBe('       a-program-42      (     40) [000]     12.000002: ev: f=1\n');
    expect(text.lines(record({ pid: 7 }))).toBe(
      '       a-program-7       (-------) [000]     12.000002: ev: f=1\n',
    );
  });

  test('prints an event that is not known by its number', () => {
    expect(newText({}, { contextInfo: false }).lines(record({ typeId: 2001 }))).toBe('Unknown type 2001\n');
  });

  test.each([
    ['trace_pipe', 'CPU:1 [LOST 7 EVENTS]\nev: f=1\n'],
    ['trace', 'CPU:1 [LOST EVENTS]\nev: f=1\n'],
  ] as const)('says in %s that events were lost', (file, expected) => {
    const text = newText({ file }, { contextInfo: false });
    expect(text.lines(record({ cpu: Cpu(1), lostBefore: 7 }))).toBe(expected);
  });

  test('marks where the buffer of a CPU starts, after the first two events of an overrun trace', () => {
    expect(startedLines({ hasOverrun: true })).toEqual(['', '', mark(2), '', '', mark(3)]);
  });

  test('does not mark it without overrun, in trace_pipe, or with noannotate', () => {
    const none = ['', '', '', '', '', ''];
    expect(startedLines({ hasOverrun: false })).toEqual(none);
    expect(startedLines({ hasOverrun: true, file: 'trace_pipe' })).toEqual(none);
    expect(startedLines({ hasOverrun: true }, { annotate: false })).toEqual(none);
  });
});

describe('flagLetters()', () => {
  const { IRQS_OFF, BH_OFF, NEED_RESCHED, NEED_RESCHED_LAZY, PREEMPT_RESCHED, HARDIRQ, SOFTIRQ, NMI } =
    ENTRY_FLAG;
  test.each([
    [0, 0, '.....'],
    [IRQS_OFF, 0, 'd....'],
    [BH_OFF, 0, 'b....'],
    [IRQS_OFF | BH_OFF, 0, 'D....'],
    [NEED_RESCHED, 0, '.n...'],
    [NEED_RESCHED_LAZY, 0, '.l...'],
    [PREEMPT_RESCHED, 0, '.p...'],
    [NEED_RESCHED | NEED_RESCHED_LAZY, 0, '.b...'],
    [NEED_RESCHED | PREEMPT_RESCHED, 0, '.N...'],
    [NEED_RESCHED_LAZY | PREEMPT_RESCHED, 0, '.L...'],
    [NEED_RESCHED | NEED_RESCHED_LAZY | PREEMPT_RESCHED, 0, '.B...'],
    [HARDIRQ, 0, '..h..'],
    [SOFTIRQ, 0, '..s..'],
    [HARDIRQ | SOFTIRQ, 0, '..H..'],
    [NMI, 0, '..z..'],
    [NMI | HARDIRQ, 0, '..Z..'],
    [0, 0x01, '...1.'],
    [0, 0xaf, '...fa'],
  ])('of flags %i and depths %i are "%s"', (flags, preemptCount, expected) => {
    expect(flagLetters(flags, preemptCount)).toBe(expected);
  });
});

describe('ClockText', () => {
  test.each([
    [0, '   12.999999'],
    [499, '   12.999999'],
    [500, '   13.000000'],
    [1_000_500, '   13.001000'],
  ])('rounds %i ns to the nearest microsecond', (time, expected) => {
    expect(new ClockText(12_999_999_000n, true).column(Nanoseconds(time))).toBe(expected);
  });

  test('prints a counter as it is', () => {
    const clock = new ClockText(2n ** 60n, false);
    expect(clock.column(Nanoseconds(1))).toBe('1152921504606846977');
    expect(new ClockText(0n, false).column(Nanoseconds(1))).toBe('           1');
    expect(new ClockText(0n, false).statistic(Nanoseconds(1))).toBe('1');
  });
});
