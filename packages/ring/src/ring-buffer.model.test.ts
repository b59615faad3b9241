/**
 * Random use of a RingBuffer against a model that is a list of what was written. Whatever happens in between,
 * each reader sees a CPU's events in order, and every event it does not see was either counted as lost at that
 * place or taken by another reader; bytes, times and counts are exact.
 */
import { SUB_BUFFER_SIZE, decodeSubBuffer, readCommonFields, readSubBufferHeader } from '@usertrace/abi';
import { Cpu, Nanoseconds } from '@usertrace/base';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RingBuffer } from './ring-buffer.ts';
import type { Snapshot } from './snapshot.ts';

const CPU_COUNT = 2;
const EPOCH_NS = 123_456_789_012_345n;

interface Written {
  readonly time: number;
  readonly typeId: number;
  readonly payload: Uint8Array;
}

type Step =
  | { kind: 'write'; cpu: number; count: number; size: number; gapNs: number }
  | { kind: 'consume'; cpu: number | undefined; count: number }
  | { kind: 'readSubBuffer'; cpu: number }
  | { kind: 'openSnapshot' }
  | { kind: 'readSnapshot'; count: number }
  | { kind: 'resize'; cpu: number | undefined; subBuffers: number }
  | { kind: 'overwrite'; overwrite: boolean }
  | { kind: 'reset'; cpu: number };

const someCpu = fc.nat({ max: CPU_COUNT - 1 });
const anyCpu = fc.option(someCpu, { nil: undefined });
const gapNs = fc.oneof(fc.integer({ min: -5, max: 1000 }), fc.constantFrom(2 ** 27 - 1, 2 ** 27, 2 ** 41));
const size = fc.oneof(
  { weight: 4, arbitrary: fc.nat({ max: 120 }) },
  { weight: 2, arbitrary: fc.nat({ max: 1500 }) },
  { weight: 1, arbitrary: fc.integer({ min: 4040, max: 4064 }) },
);
const count = fc.integer({ min: 1, max: 60 });
const kind = <Kind extends string>(name: Kind): fc.Arbitrary<Kind> => fc.constant(name);
const anyStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: kind('write'), cpu: someCpu, count, size, gapNs }) },
  { weight: 4, arbitrary: fc.record({ kind: kind('consume'), cpu: anyCpu, count }) },
  { weight: 2, arbitrary: fc.record({ kind: kind('readSubBuffer'), cpu: someCpu }) },
  { weight: 1, arbitrary: fc.record({ kind: kind('openSnapshot') }) },
  { weight: 4, arbitrary: fc.record({ kind: kind('readSnapshot'), count }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: kind('resize'), cpu: anyCpu, subBuffers: fc.integer({ min: 2, max: 5 }) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: kind('overwrite'), overwrite: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ kind: kind('reset'), cpu: someCpu }) },
);

/** One CPU as the model knows it; an event's number is its index in `written`, and its pid. */
class ModelCpu {
  readonly written: Written[] = [];
  lastTime = 0;
  /** The number of the event that a consuming reader gets if nothing is lost. */
  expected = 0;
  resetAt = 0;
  consumed = 0;
  dropped = 0;
}

class World {
  readonly buffer = new RingBuffer({ cpuCount: CPU_COUNT, subBuffersPerCpu: 2, epochNs: EPOCH_NS });
  readonly cpus = Array.from({ length: CPU_COUNT }, () => new ModelCpu());
  snapshot: Snapshot | undefined;
  /** For each CPU of which the snapshot returned something, the number it returns if all is there. */
  readonly snapshotExpected: number[] = [];

  run(step: Step): void {
    switch (step.kind) {
      case 'write':
        for (let index = 0; index < step.count; index++) this.write(step.cpu, step.size, step.gapNs);
        break;
      case 'consume':
        for (let index = 0; index < step.count && this.consume(step.cpu); index++);
        break;
      case 'readSubBuffer':
        this.readSubBuffer(step.cpu);
        break;
      case 'openSnapshot':
        this.snapshot = this.buffer.snapshot();
        this.snapshotExpected.length = 0;
        break;
      case 'readSnapshot':
        for (let index = 0; index < step.count && this.readSnapshot(); index++);
        break;
      case 'resize':
        this.buffer.resize(step.subBuffers, step.cpu === undefined ? undefined : Cpu(step.cpu));
        break;
      case 'overwrite':
        this.buffer.overwrite = step.overwrite;
        break;
      case 'reset':
        this.reset(step.cpu);
        break;
    }
    this.checkCounts();
  }

  cpu(index: number): ModelCpu {
    const model = this.cpus[index];
    if (model === undefined) throw new Error(`no CPU ${index}`);
    return model;
  }

  write(cpuIndex: number, payloadSize: number, gap: number): void {
    const model = this.cpu(cpuIndex);
    const time = Math.max(0, model.lastTime + gap);
    const number = model.written.length;
    const payload = Uint8Array.from({ length: payloadSize }, (_, index) => number + index);
    const typeId = number % 0x10000;
    if (this.buffer.write(Cpu(cpuIndex), Nanoseconds(time), typeId, 0, 0, number, payload)) {
      model.lastTime = Math.max(model.lastTime, time);
      model.written.push({ time: model.lastTime, typeId, payload });
    } else {
      expect(this.buffer.overwrite).toBe(false);
      model.dropped += 1;
    }
  }

  checkRecord(cpuIndex: number, number: number, time: number, entry: Uint8Array): void {
    const expected = this.cpu(cpuIndex).written[number];
    if (expected === undefined) throw new Error(`event ${number} was never written`);
    expect(time).toBe(expected.time);
    expect(readCommonFields(entry).type).toBe(expected.typeId);
    const payloadEnd = 8 + expected.payload.length;
    expect(Buffer.compare(entry.subarray(8, payloadEnd), expected.payload)).toBe(0);
    expect(entry.subarray(payloadEnd).every((byte) => byte === 0)).toBe(true);
  }

  consume(cpuIndex: number | undefined): boolean {
    const only = cpuIndex === undefined ? undefined : Cpu(cpuIndex);
    const peeked = this.buffer.peek(only);
    const record = this.buffer.consume(only);
    expect(peeked).toEqual(record);
    if (record === undefined) return false;
    const model = this.cpu(record.cpu);
    expect(record.pid).toBe(model.expected + record.lostBefore);
    this.checkRecord(record.cpu, record.pid, record.time, record.entry);
    model.expected = record.pid + 1;
    model.consumed += 1;
    return true;
  }

  readSubBuffer(cpuIndex: number): void {
    const model = this.cpu(cpuIndex);
    const out = new Uint8Array(SUB_BUFFER_SIZE).fill(0xee);
    const wasEmpty = this.buffer.isEmpty(Cpu(cpuIndex));
    expect(this.buffer.readSubBuffer(Cpu(cpuIndex), out)).toBe(wasEmpty ? 0 : SUB_BUFFER_SIZE);
    if (wasEmpty) return;
    const { lost } = readSubBufferHeader(out);
    let isFirst = true;
    for (const { timestamp, entry } of decodeSubBuffer(out)) {
      const number = readCommonFields(entry).pid;
      if (!isFirst || lost !== 'unknown') expect(number).toBe(model.expected + (isFirst ? Number(lost) : 0));
      else expect(number).toBeGreaterThan(model.expected);
      this.checkRecord(cpuIndex, number, Number(timestamp - EPOCH_NS), entry);
      model.expected = number + 1;
      model.consumed += 1;
      isFirst = false;
    }
    expect(isFirst).toBe(false);
  }

  readSnapshot(): boolean {
    const record = this.snapshot?.read();
    if (record === undefined) return false;
    const model = this.cpu(record.cpu);
    const expected = this.snapshotExpected[record.cpu] ?? record.pid - record.lostBefore;
    const missing = record.pid - expected;
    expect(missing).toBeGreaterThanOrEqual(0);
    expect(record.lostBefore).toBeLessThanOrEqual(missing);
    // Without a consuming reader or a reset in between, all that is missing was overwritten.
    if (model.expected <= expected) expect(record.lostBefore).toBe(missing);
    this.checkRecord(record.cpu, record.pid, record.time, record.entry);
    this.snapshotExpected[record.cpu] = record.pid + 1;
    return true;
  }

  reset(cpuIndex: number): void {
    const model = this.cpu(cpuIndex);
    this.buffer.reset(Cpu(cpuIndex));
    model.resetAt = model.written.length;
    model.expected = model.written.length;
    model.consumed = 0;
    model.dropped = 0;
    model.lastTime = 0;
  }

  checkCounts(): void {
    for (const [index, model] of this.cpus.entries()) {
      const { entries, overrun, read, dropped, bytes } = this.buffer.counts(Cpu(index));
      expect(entries + overrun + read).toBe(model.written.length - model.resetAt);
      expect(read).toBe(model.consumed);
      expect(dropped).toBe(model.dropped);
      expect(bytes).toBeGreaterThanOrEqual(entries * 12);
      expect(this.buffer.isEmpty(Cpu(index))).toBe(entries === 0);
    }
  }

  /** What a fresh snapshot returns is what consuming returns, up to the last event that was written. */
  drain(): void {
    const snapshot = this.buffer.snapshot();
    const seen: number[] = [];
    for (let record = snapshot.read(); record !== undefined; record = snapshot.read()) seen.push(record.pid);
    const consumed: number[] = [];
    for (let peeked = this.buffer.peek(); peeked !== undefined; peeked = this.buffer.peek()) {
      consumed.push(peeked.pid);
      this.consume(undefined);
    }
    expect(consumed).toEqual(seen);
    for (const model of this.cpus) expect(model.expected).toBe(model.written.length);
    this.checkCounts();
  }
}

const seed = Number(process.env['USERTRACE_SEED'] ?? Date.now() % 2 ** 31);

test(`RingBuffer returns exactly what was written and not counted as lost (seed ${seed})`, () => {
  fc.assert(
    fc.property(fc.array(anyStep, { maxLength: 40 }), (steps) => {
      const world = new World();
      for (const each of steps) world.run(each);
      world.drain();
    }),
    { seed, numRuns: 200 },
  );
});
