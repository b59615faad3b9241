/**
 * The same events, written into a RingBuffer, must give the bytes and texts that a real kernel gave: its files
 * are in ../fixtures, made by capture.sh there. The raw sub-buffers of a capture tell what was written when.
 */
import { readFileSync } from 'node:fs';
import {
  COMMON_FIELDS_SIZE,
  SUB_BUFFER_SIZE,
  decodeSubBuffer,
  encodePrintPayload,
  readCommonFields,
} from '@usertrace/abi';
import { Cpu, Nanoseconds } from '@usertrace/base';
import { describe, expect, test } from 'vitest';
import { ClockText } from './clock-text.ts';
import { RingBuffer, subBuffersForKib } from './ring-buffer.ts';
import { SavedCommands } from './saved-commands.ts';
import { statsText } from './stats-text.ts';
import { traceHeaderText } from './trace-header.ts';
import { type TraceOptions, type TraceReading, TraceText } from './trace-text.ts';

const CPU_0 = Cpu(0);
const CPU_1 = Cpu(1);
const ALL_OPTIONS: TraceOptions = { irqInfo: true, recordTgid: false, contextInfo: true, annotate: true };
const PRINT = 5;
const TASK_CONTEXT = 1;

const capture = (name: string): Buffer => readFileSync(new URL(`../fixtures/${name}`, import.meta.url));
const captureText = (name: string): string => capture(name).toString('latin1');

const bashSources = { commOf: () => 'bash', tgidOf: () => undefined, eventText: () => undefined };

function newBuffer(settings: { subBuffersPerCpu?: number; epochNs?: bigint; overwrite?: boolean } = {}) {
  return new RingBuffer({ cpuCount: 2, subBuffersPerCpu: subBuffersForKib(7), epochNs: 0n, ...settings });
}

/** Writes the events of a captured sub-buffer. */
function replay(buffer: RingBuffer, cpu: Cpu, subBuffer: Uint8Array): void {
  for (const { timestamp, entry } of decodeSubBuffer(subBuffer)) {
    const { type, flags, preemptCount, pid } = readCommonFields(entry);
    const time = Nanoseconds(Number(timestamp - buffer.epochNs));
    buffer.write(cpu, time, type, flags, preemptCount, pid, entry.subarray(COMMON_FIELDS_SIZE));
  }
}

function readTrace(
  buffer: RingBuffer,
  options: TraceOptions,
  settings: { cpu?: Cpu; isNanoseconds?: boolean } = {},
): string {
  const clock = new ClockText(buffer.epochNs, settings.isNanoseconds ?? true);
  const reading: TraceReading = { file: 'trace', hasOverrun: buffer.hasOverrun() };
  const text = new TraceText(reading, clock, options, bashSources);
  const snapshot = buffer.snapshot(settings.cpu);
  let lines = traceHeaderText({ tracer: 'nop', ...buffer.totals(), cpuCount: 2 }, options);
  for (let record = snapshot.read(); record !== undefined; record = snapshot.read())
    lines += text.lines(record);
  return lines;
}

function statsWithoutNow(buffer: RingBuffer, cpu: Cpu): string {
  const text = statsText(buffer.counts(cpu), new ClockText(buffer.epochNs, true), Nanoseconds(0));
  return text.replace(/now ts:.*\n/, '');
}

/** The text of "event N" as the capture's loop wrote it. */
const eventPayload = (index: number): Uint8Array => encodePrintPayload(Buffer.from(`event ${index}`));

/** Seconds and microseconds of the lines of a captured trace that belong to a CPU, in nanoseconds. */
function lineTimes(text: string, cpu: string): number[] {
  return [...text.matchAll(new RegExp(`\\[${cpu}\\] \\S+ +(\\d+)\\.(\\d+): `, 'g'))].map(
    ([, seconds, us]) => Number(seconds) * 1e9 + Number(us) * 1000,
  );
}

const pidOf = (text: string, cpu: string): number =>
  Number(new RegExp(`bash-(\\d+) +\\[${cpu}\\]`).exec(text)?.[1]);

describe('RingBuffer on what a kernel recorded', () => {
  const replayFew = (): RingBuffer => {
    const buffer = newBuffer({ epochNs: 1_000_000_123_456n });
    replay(buffer, CPU_0, capture('few.cpu0.bin'));
    replay(buffer, CPU_1, capture('few.cpu1.bin'));
    return buffer;
  };

  test.each([
    ['few.trace', {}],
    ['few.noirq-info.trace', { irqInfo: false }],
    ['few.record-tgid.trace', { recordTgid: true }],
    ['few.noirq-info.record-tgid.trace', { irqInfo: false, recordTgid: true }],
    ['few.nocontext-info.trace', { contextInfo: false }],
  ])('prints %s', (name, options) => {
    expect(readTrace(replayFew(), { ...ALL_OPTIONS, ...options })).toBe(captureText(name));
  });

  test('prints the trace of one CPU', () => {
    expect(readTrace(replayFew(), ALL_OPTIONS, { cpu: CPU_1 })).toBe(captureText('few.cpu1.trace'));
  });

  test('counts as the kernel does, before and after a raw read', () => {
    const buffer = replayFew();
    expect(statsWithoutNow(buffer, CPU_0)).toBe(captureText('few.cpu0.stats'));
    buffer.readSubBuffer(CPU_0, new Uint8Array(SUB_BUFFER_SIZE));
    expect(statsWithoutNow(buffer, CPU_0)).toBe(captureText('few.cpu0.read.stats'));
  });

  test.each([
    [CPU_0, 'few.cpu0.bin'],
    [CPU_1, 'few.cpu1.bin'],
  ])('gives CPU %i the bytes of trace_pipe_raw', (cpu, name) => {
    const buffer = replayFew();
    const out = new Uint8Array(SUB_BUFFER_SIZE).fill(0xff);
    expect(buffer.readSubBuffer(cpu, out)).toBe(SUB_BUFFER_SIZE);
    expect(Buffer.from(out).equals(capture(name))).toBe(true);
    expect(buffer.readSubBuffer(cpu, out)).toBe(0);
  });

  test('prints the counter clock without a unit', () => {
    const buffer = newBuffer();
    replay(buffer, CPU_0, capture('counter.cpu0.bin'));
    const now = Number(/now ts: (\d+)/.exec(captureText('counter.cpu0.stats'))?.[1]);
    const stats = statsText(buffer.counts(CPU_0), new ClockText(0n, false), Nanoseconds(now));
    expect(stats).toBe(captureText('counter.cpu0.stats'));
    expect(readTrace(buffer, ALL_OPTIONS, { isNanoseconds: false })).toBe(captureText('counter.trace'));
  });

  /** CPU 0 wrote 300 events into 2 sub-buffers; those that were overwritten have the first survivor's time. */
  function replayOverrun(): RingBuffer {
    const text = captureText('overrun.trace');
    const [first = 0, last = 0] = lineTimes(text, '001');
    const survivors = lineTimes(text, '000');
    const buffer = newBuffer();
    const write = (cpu: Cpu, time: number, payload: Uint8Array): boolean => {
      const pid =
        /* CPU 1 had two shells */ cpu === CPU_0 ? pidOf(text, '000') : pids[time === first ? 0 : 1];
      return buffer.write(cpu, Nanoseconds(time), PRINT, 0, TASK_CONTEXT, pid ?? 0, payload);
    };
    const pids = [...text.matchAll(/bash-(\d+) +\[001\]/g)].map(([, pid]) => Number(pid));
    write(CPU_1, first, encodePrintPayload(Buffer.from('first\n')));
    const lost = 300 - survivors.length;
    for (let index = 0; index < 300; index++) {
      write(CPU_0, survivors[Math.max(0, index - lost)] ?? 0, eventPayload(index));
    }
    write(CPU_1, last, encodePrintPayload(Buffer.from('last\n')));
    return buffer;
  }

  test('overwrites and counts as the kernel does', () => {
    const buffer = replayOverrun();
    expect(readTrace(buffer, ALL_OPTIONS)).toBe(captureText('overrun.trace'));
    expect(statsWithoutNow(buffer, CPU_0)).toBe(captureText('overrun.cpu0.stats'));

    const reading: TraceReading = { file: 'trace_pipe', hasOverrun: true };
    const text = new TraceText(reading, new ClockText(0n, true), ALL_OPTIONS, bashSources);
    let lines = '';
    for (let record = buffer.consume(); record !== undefined; record = buffer.consume())
      lines += text.lines(record);
    expect(lines).toBe(captureText('overrun.trace_pipe'));
    const after = captureText('overrun.cpu0.read.stats');
    // Microseconds are all that is known of the times here, and nothing is left to round.
    expect(statsWithoutNow(buffer, CPU_0)).toBe(after);
  });

  test('flags lost events in the sub-buffers of trace_pipe_raw', () => {
    const pages = capture('overrun.cpu0.bin');
    const survivors = [...decodeSubBuffer(pages.subarray(0, SUB_BUFFER_SIZE))].concat([
      ...decodeSubBuffer(pages.subarray(SUB_BUFFER_SIZE)),
    ]);
    const buffer = newBuffer();
    const lost = 300 - survivors.length;
    for (let index = 0; index < 300; index++) {
      const { timestamp = 0n, entry = new Uint8Array(16) } = survivors[Math.max(0, index - lost)] ?? {};
      const { flags, preemptCount, pid } = readCommonFields(entry);
      const payload = eventPayload(index);
      payload.set(entry.subarray(8, 16));
      buffer.write(CPU_0, Nanoseconds(Number(timestamp)), PRINT, flags, preemptCount, pid, payload);
    }
    const out = new Uint8Array(SUB_BUFFER_SIZE);
    for (let start = 0; start < pages.length; start += SUB_BUFFER_SIZE) {
      buffer.readSubBuffer(CPU_0, out);
      expect(Buffer.from(out).equals(withZeroSlack(pages.subarray(start, start + SUB_BUFFER_SIZE)))).toBe(
        true,
      );
    }
    expect(buffer.isEmpty()).toBe(true);
  });

  test('refuses new events when it may not overwrite', () => {
    const buffer = newBuffer({ overwrite: false });
    const text = captureText('discard.trace');
    const times = lineTimes(text, '000');
    for (let index = 0; index < 300; index++) {
      const time = Nanoseconds(times[index] ?? times.at(-1) ?? 0);
      const stored = buffer.write(
        CPU_0,
        time,
        PRINT,
        0,
        TASK_CONTEXT,
        pidOf(text, '000'),
        eventPayload(index),
      );
      expect(stored).toBe(index < times.length);
    }
    expect(readTrace(buffer, ALL_OPTIONS)).toBe(text);
    expect(statsWithoutNow(buffer, CPU_0)).toBe(captureText('discard.cpu0.stats'));
  });

  test('lists saved names as the kernel does', () => {
    const text = captureText('few.saved_cmdlines');
    const saved = new SavedCommands();
    for (const line of text.trimEnd().split('\n')) {
      const [pid = '', comm = ''] = line.split(' ');
      saved.record(Number(pid), comm);
    }
    expect(saved.text()).toBe(text);
  });
});

/** The kernel leaves what was in memory before between an entry's end and the next multiple of 4; we leave zero. */
function withZeroSlack(page: Uint8Array): Buffer {
  const clean = Buffer.from(page);
  for (const { entry } of decodeSubBuffer(clean)) entry.fill(0, entry.indexOf(0, 16));
  return clean;
}
