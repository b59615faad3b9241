import { ENTRY_MAX, SUB_BUFFER_SIZE, decodeSubBuffer, readSubBufferHeader } from '@usertrace/abi';
import { Cpu, Nanoseconds } from '@usertrace/base';
import { describe, expect, test } from 'vitest';
import { RingBuffer, kibOfSubBuffers, subBuffersForKib } from './ring-buffer.ts';

const CPU_0 = Cpu(0);
const CPU_1 = Cpu(1);
/** With a payload of this size a sub-buffer holds 4 events. */
const QUARTER = 1000;

const newBuffer = (subBuffersPerCpu = 2, overwrite = true): RingBuffer =>
  new RingBuffer({ cpuCount: 2, subBuffersPerCpu, epochNs: 5_000_000_000n, overwrite });

/** Writes an event whose pid is its number. */
const write = (buffer: RingBuffer, cpu: Cpu, time: number, pid: number, payloadSize = QUARTER): boolean =>
  buffer.write(cpu, Nanoseconds(time), 2000, 0, 0, pid, new Uint8Array(payloadSize));

function fill(buffer: RingBuffer, first: number, last: number): void {
  for (let pid = first; pid <= last; pid++) write(buffer, CPU_0, pid, pid);
}

function consumedPids(buffer: RingBuffer): number[] {
  const pids: number[] = [];
  for (let record = buffer.consume(); record !== undefined; record = buffer.consume()) pids.push(record.pid);
  return pids;
}

const snapshotPids = (buffer: RingBuffer): number[] => {
  const snapshot = buffer.snapshot();
  const pids: number[] = [];
  for (let record = snapshot.read(); record !== undefined; record = snapshot.read()) pids.push(record.pid);
  return pids;
};

const range = (first: number, last: number): number[] =>
  Array.from({ length: last - first + 1 }, (_, index) => first + index);

describe('subBuffersForKib()', () => {
  test.each([
    [1, 2, 7],
    [7, 2, 7],
    [8, 3, 11],
    [15, 4, 15],
    [16, 5, 19],
    [1000, 251, 1000],
    [1408, 354, 1410],
  ])('makes %i KiB %i sub-buffers, which say %i KiB, as on the kernel', (sizeKib, count, saysKib) => {
    expect(subBuffersForKib(sizeKib)).toBe(count);
    expect(kibOfSubBuffers(count)).toBe(saysKib);
  });
});

describe('RingBuffer.write()', () => {
  test('gives back what was written, padded to 4 bytes', () => {
    const buffer = newBuffer();
    buffer.write(CPU_1, Nanoseconds(9), 2001, 0x41, 0x12, 77, Uint8Array.of(1, 2, 3, 4, 5));
    const record = buffer.consume();
    expect(record).toMatchObject({ cpu: 1, time: 9, typeId: 2001, flags: 0x41, preemptCount: 0x12, pid: 77 });
    expect([...(record?.entry.subarray(8) ?? [])]).toEqual([1, 2, 3, 4, 5, 0, 0, 0]);
  });

  test('gives an event without payload the 12 bytes that the kernel gives it', () => {
    const buffer = newBuffer();
    write(buffer, CPU_0, 1, 1, 0);
    expect(buffer.consume()?.entry.length).toBe(12);
  });

  test('refuses an event that is larger than a sub-buffer and counts nothing', () => {
    const buffer = newBuffer();
    expect(write(buffer, CPU_0, 1, 1, ENTRY_MAX - 8)).toBe(true);
    expect(write(buffer, CPU_0, 1, 2, ENTRY_MAX - 7)).toBe(false);
    expect(buffer.counts(CPU_0)).toMatchObject({ entries: 1, dropped: 0, overrun: 0 });
  });

  test('gives an event that is older than the last one the time of that one', () => {
    const buffer = newBuffer();
    write(buffer, CPU_0, 100, 1, 0);
    write(buffer, CPU_0, 50, 2, 0);
    write(buffer, CPU_0, 101, 3, 0);
    expect([buffer.consume()?.time, buffer.consume()?.time, buffer.consume()?.time]).toEqual([100, 100, 101]);
  });

  test.each([2 ** 27 - 1, 2 ** 27, 2 ** 27 + 1, 2 ** 40 + 12345])('keeps a distance of %i ns', (delta) => {
    const buffer = newBuffer();
    write(buffer, CPU_0, 3, 1, 0);
    write(buffer, CPU_0, 3 + delta, 2, 0);
    write(buffer, CPU_0, 4 + delta, 3, 0);
    buffer.consume();
    expect(buffer.consume()?.time).toBe(3 + delta);
    expect(buffer.consume()?.time).toBe(4 + delta);
  });

  test('overwrites the oldest sub-buffer', () => {
    const buffer = newBuffer();
    fill(buffer, 1, 9);
    expect(buffer.counts(CPU_0)).toMatchObject({ entries: 5, overrun: 4 });
    expect(buffer.peek()?.lostBefore).toBe(4);
    expect(consumedPids(buffer)).toEqual(range(5, 9));
  });

  test('never overwrites the sub-buffer that is being read', () => {
    const buffer = newBuffer();
    fill(buffer, 1, 4);
    expect(buffer.consume()?.pid).toBe(1);
    fill(buffer, 5, 20);
    const pids = [2, 3, 4].map(() => buffer.consume()?.pid);
    expect(pids).toEqual([2, 3, 4]);
    expect(buffer.consume()).toMatchObject({ pid: 13, lostBefore: 8 });
  });

  test('refuses events instead, when it does not overwrite', () => {
    const buffer = newBuffer(2, false);
    fill(buffer, 1, 10);
    expect(buffer.counts(CPU_0)).toMatchObject({ entries: 8, overrun: 0, dropped: 2 });
    expect(write(buffer, CPU_0, 11, 11, 0)).toBe(false);
    expect(consumedPids(buffer)).toEqual(range(1, 8));
    expect(write(buffer, CPU_0, 12, 12)).toBe(true);
  });
});

describe('RingBuffer.consume()', () => {
  test('merges CPUs by time, the lower CPU first', () => {
    const buffer = newBuffer();
    write(buffer, CPU_1, 10, 1);
    write(buffer, CPU_0, 10, 2);
    write(buffer, CPU_0, 12, 3);
    write(buffer, CPU_1, 11, 4);
    expect(consumedPids(buffer)).toEqual([2, 1, 4, 3]);
  });

  test('reads one CPU alone', () => {
    const buffer = newBuffer();
    write(buffer, CPU_0, 1, 1);
    write(buffer, CPU_1, 2, 2);
    expect(buffer.consume(CPU_1)?.pid).toBe(2);
    expect(buffer.consume(CPU_1)).toBeUndefined();
    expect([buffer.isEmpty(CPU_0), buffer.isEmpty(CPU_1), buffer.isEmpty()]).toEqual([false, true, false]);
  });
});

describe('RingBuffer.readSubBuffer()', () => {
  test('gives what consume() left of a sub-buffer, with the time before it', () => {
    const buffer = newBuffer();
    write(buffer, CPU_0, 100, 1, 0);
    write(buffer, CPU_0, 150, 2, 0);
    buffer.consume();
    buffer.peek();
    const out = new Uint8Array(SUB_BUFFER_SIZE);
    expect(buffer.readSubBuffer(CPU_0, out)).toBe(SUB_BUFFER_SIZE);
    expect(readSubBufferHeader(out)).toEqual({ timestamp: 5_000_000_100n, dataLength: 16, lost: 0 });
    expect([...decodeSubBuffer(out)].map(({ timestamp }) => timestamp)).toEqual([5_000_000_150n]);
    expect(buffer.readSubBuffer(CPU_0, out)).toBe(0);

    write(buffer, CPU_0, 160, 3, 0);
    expect(buffer.consume()).toMatchObject({ pid: 3, time: 160 });
  });
});

describe('RingBuffer.snapshot()', () => {
  test('leaves the events', () => {
    const buffer = newBuffer();
    fill(buffer, 1, 6);
    buffer.consume();
    expect(snapshotPids(buffer)).toEqual(range(2, 6));
    expect(consumedPids(buffer)).toEqual(range(2, 6));
  });

  test('ends at what there was, and goes on when asked again', () => {
    const buffer = newBuffer();
    fill(buffer, 1, 2);
    const snapshot = buffer.snapshot();
    expect(snapshot.read()?.pid).toBe(1);
    fill(buffer, 3, 3);
    expect(snapshot.read()?.pid).toBe(2);
    expect(snapshot.read()).toBeUndefined();
    expect(snapshot.read()?.pid).toBe(3);
  });

  test('skips what was overwritten and says how much', () => {
    const buffer = newBuffer();
    fill(buffer, 1, 8);
    const snapshot = buffer.snapshot();
    snapshot.read();
    snapshot.read();
    fill(buffer, 9, 9);
    expect(snapshot.read()).toMatchObject({ pid: 5, lostBefore: 2 });
  });

  test('takes what a reader consumed for no loss', () => {
    const buffer = newBuffer();
    fill(buffer, 1, 8);
    const snapshot = buffer.snapshot();
    snapshot.read();
    for (let count = 0; count < 6; count++) buffer.consume();
    expect(snapshot.read()).toMatchObject({ pid: 7, lostBefore: 0 });
  });

  test('survives that the buffer is emptied', () => {
    const buffer = newBuffer();
    fill(buffer, 1, 8);
    const snapshot = buffer.snapshot();
    snapshot.read();
    buffer.reset();
    expect(snapshot.read()).toBeUndefined();
    fill(buffer, 9, 10);
    expect(snapshot.read()).toMatchObject({ pid: 9, lostBefore: 0 });
  });
});

describe('RingBuffer.resize()', () => {
  test('keeps everything when it grows', () => {
    const buffer = newBuffer();
    fill(buffer, 1, 8);
    buffer.resize(4, CPU_0);
    fill(buffer, 9, 16);
    expect([buffer.subBufferCount(CPU_0), buffer.subBufferCount(CPU_1)]).toEqual([4, 2]);
    expect(consumedPids(buffer)).toEqual(range(1, 16));
  });

  test('keeps the newest when it shrinks, and counts the others', () => {
    const buffer = newBuffer(4);
    fill(buffer, 1, 14);
    buffer.resize(2);
    expect(buffer.counts(CPU_0)).toMatchObject({ entries: 6, overrun: 8 });
    expect(consumedPids(buffer)).toEqual(range(9, 14));
  });
});

describe('RingBuffer.reset()', () => {
  test('forgets events and counts, of one CPU or all', () => {
    const buffer = newBuffer();
    fill(buffer, 1, 10);
    write(buffer, CPU_1, 1, 1);
    buffer.consume(CPU_0);
    buffer.reset(CPU_0);
    expect(buffer.counts(CPU_0)).toEqual({
      entries: 0,
      overrun: 0,
      bytes: 0,
      dropped: 0,
      read: 0,
      oldestTime: undefined,
    });
    expect(buffer.totals()).toEqual({ entries: 1, written: 1 });
    buffer.reset();
    expect(buffer.isEmpty()).toBe(true);
  });

  test('lets another clock count from another epoch', () => {
    const buffer = newBuffer();
    fill(buffer, 1, 2);
    buffer.restart(0n);
    write(buffer, CPU_0, 0, 3);
    const out = new Uint8Array(SUB_BUFFER_SIZE);
    buffer.readSubBuffer(CPU_0, out);
    expect(readSubBufferHeader(out).timestamp).toBe(0n);
  });
});
