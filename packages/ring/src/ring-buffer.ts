/**
 * A RingBuffer holds one CpuBuffer for each CPU, all of one trace instance. One thread owns it: nothing here is
 * shared. Times go in and come out as nanoseconds since `epochNs`; only what leaves as raw sub-buffers has
 * absolute times.
 *
 *     const buffer = new RingBuffer({ cpuCount: 2, subBuffersPerCpu: subBuffersForKib(1408), epochNs });
 *     buffer.write(Cpu(0), time, event.id, 0, 0, pid, payload);
 *     for (let record = buffer.consume(); record !== undefined; record = buffer.consume()) print(record);
 */
import { SUB_BUFFER_DATA_SIZE, SUB_BUFFER_SIZE } from '@usertrace/abi';
import { Cpu, type Nanoseconds, assert } from '@usertrace/base';
import { CpuBuffer, type CpuCounts } from './cpu-buffer.ts';
import { Snapshot } from './snapshot.ts';
import { type TraceRecord, traceRecord } from './trace-record.ts';

/** The fewest sub-buffers a CPU can have: one to fill, one to overwrite. */
export const SUB_BUFFERS_MIN = 2;

/**
 * How many sub-buffers a size written to `buffer_size_kb` means.
 *
 * @param sizeKib a size in KiB
 */
export function subBuffersForKib(sizeKib: number): number {
  return Math.max(SUB_BUFFERS_MIN, Math.ceil((sizeKib * 1024) / SUB_BUFFER_DATA_SIZE));
}

/**
 * The size that `buffer_size_kb` says for so many sub-buffers, in KiB. Only their room for records counts.
 *
 * @param subBufferCount how many sub-buffers
 */
export function kibOfSubBuffers(subBufferCount: number): number {
  return Math.floor((subBufferCount * SUB_BUFFER_DATA_SIZE) / 1024);
}

/** How a ring buffer is made. */
export interface RingBufferSettings {
  /** CPUs, numbered from 0. */
  readonly cpuCount: number;
  /** Sub-buffers of each CPU; SUB_BUFFERS_MIN at least. */
  readonly subBuffersPerCpu: number;
  /** The instant at which times are 0, in nanoseconds of the trace clock. */
  readonly epochNs: bigint;
  /** Whether the oldest events make place for new ones; yes unless it is false. */
  readonly overwrite?: boolean;
}

/** The events of one trace instance. */
export class RingBuffer {
  readonly cpuCount: number;
  readonly #cpuBuffers: readonly CpuBuffer[];
  #epochNs: bigint;
  #overwrite: boolean;

  /** @param settings see RingBufferSettings */
  constructor(settings: RingBufferSettings) {
    const { cpuCount, subBuffersPerCpu, epochNs, overwrite = true } = settings;
    assert(cpuCount > 0, 'a ring buffer has a CPU');
    assertSubBufferCount(subBuffersPerCpu);
    this.cpuCount = cpuCount;
    this.#epochNs = epochNs;
    this.#overwrite = overwrite;
    this.#cpuBuffers = Array.from({ length: cpuCount }, () => new CpuBuffer(subBuffersPerCpu, overwrite));
  }

  /** The instant at which times are 0, in nanoseconds of the trace clock. */
  get epochNs(): bigint {
    return this.#epochNs;
  }

  /** Whether the oldest events make place for new ones (the option `overwrite`). */
  get overwrite(): boolean {
    return this.#overwrite;
  }

  set overwrite(overwrite: boolean) {
    this.#overwrite = overwrite;
    for (const buffer of this.#cpuBuffers) buffer.overwrite = overwrite;
  }

  /**
   * Records an event.
   *
   * @param cpu the CPU on which it happened
   * @param time nanoseconds since the epoch, an integer; a time before the CPU's last event becomes that one's
   * @param typeId the event's id (`common_type`)
   * @param flags bits of ENTRY_FLAG
   * @param preemptCount `common_preempt_count`
   * @param pid the thread that wrote it
   * @param payload what follows the common fields; it is copied
   * @returns whether it was recorded: not when it is larger than a sub-buffer, and not when the buffer is full
   *   and does not overwrite
   */
  write(
    cpu: Cpu,
    time: Nanoseconds,
    typeId: number,
    flags: number,
    preemptCount: number,
    pid: number,
    payload: Uint8Array,
  ): boolean {
    return this.#cpuBuffer(cpu).write(time, typeId, flags, preemptCount, pid, payload);
  }

  /**
   * Takes the oldest event out of the buffer.
   *
   * @param cpu the CPU to read; all of them when left out
   * @returns the event, its entry a view that is valid until something is done with the buffer; undefined when
   *   there is none
   */
  consume(cpu?: Cpu): TraceRecord | undefined {
    const oldest = this.#oldestCpu(cpu);
    if (oldest === undefined) return undefined;
    const record = this.#peekedRecord(oldest);
    this.#cpuBuffer(oldest).consumePeeked();
    return record;
  }

  /**
   * The event that consume() would return.
   *
   * @param cpu the CPU to read; all of them when left out
   */
  peek(cpu?: Cpu): TraceRecord | undefined {
    const oldest = this.#oldestCpu(cpu);
    return oldest === undefined ? undefined : this.#peekedRecord(oldest);
  }

  /**
   * Begins to read without consuming.
   *
   * @param cpu the CPU to read; all of them when left out
   */
  snapshot(cpu?: Cpu): Snapshot {
    return new Snapshot(this.#selected(cpu).map((each) => ({ cpu: each, buffer: this.#cpuBuffer(each) })));
  }

  /**
   * Takes a sub-buffer out of the buffer, or the records that the CPU's newest one has so far, as a read of
   * `trace_pipe_raw` does.
   *
   * @param cpu the CPU to read
   * @param out where to put it; SUB_BUFFER_SIZE bytes, all of which are written
   * @returns SUB_BUFFER_SIZE, or 0 when there was no event
   */
  readSubBuffer(cpu: Cpu, out: Uint8Array): number {
    return this.#cpuBuffer(cpu).readSubBuffer(out, this.#epochNs) ? SUB_BUFFER_SIZE : 0;
  }

  /** Whether there is nothing to read, from one CPU or from all. */
  isEmpty(cpu?: Cpu): boolean {
    if (cpu !== undefined) return this.#cpuBuffer(cpu).isEmpty;
    return this.#cpuBuffers.every((buffer) => buffer.isEmpty);
  }

  /** What happened in a CPU's buffer since it was made or emptied. */
  counts(cpu: Cpu): CpuCounts {
    return this.#cpuBuffer(cpu).counts();
  }

  /** Events that can be read, and events written that nobody consumed: the numbers in the header of `trace`. */
  totals(): { readonly entries: number; readonly written: number } {
    let entries = 0;
    let written = 0;
    for (const buffer of this.#cpuBuffers) {
      const counts = buffer.counts();
      entries += counts.entries;
      written += counts.entries + counts.overrun;
    }
    return { entries, written };
  }

  /** Whether events were overwritten on any CPU. */
  hasOverrun(): boolean {
    return this.#cpuBuffers.some((buffer) => buffer.overrun > 0);
  }

  /** How many sub-buffers a CPU has. */
  subBufferCount(cpu: Cpu): number {
    return this.#cpuBuffer(cpu).capacity;
  }

  /**
   * Changes the size. The newest events stay as far as they fit; others count as overrun.
   *
   * @param subBuffersPerCpu SUB_BUFFERS_MIN at least
   * @param cpu the CPU to change; all of them when left out
   */
  resize(subBuffersPerCpu: number, cpu?: Cpu): void {
    assertSubBufferCount(subBuffersPerCpu);
    for (const each of this.#selected(cpu)) this.#cpuBuffer(each).resize(subBuffersPerCpu);
  }

  /**
   * Forgets all events and counts.
   *
   * @param cpu the CPU to empty; all of them when left out
   */
  reset(cpu?: Cpu): void {
    for (const each of this.#selected(cpu)) this.#cpuBuffer(each).reset();
  }

  /**
   * Empties the buffer and counts time from another instant, as a change of the trace clock does.
   *
   * @param epochNs the instant at which times are 0, in units of the new clock
   */
  restart(epochNs: bigint): void {
    this.reset();
    this.#epochNs = epochNs;
  }

  #cpuBuffer(cpu: Cpu): CpuBuffer {
    const buffer = this.#cpuBuffers[cpu];
    assert(buffer !== undefined, 'the CPU is one of the buffer');
    return buffer;
  }

  #selected(cpu: Cpu | undefined): readonly Cpu[] {
    return cpu === undefined ? this.#cpuBuffers.map((_, index) => Cpu(index)) : [cpu];
  }

  /** The CPU with the oldest event; the lowest of those with equal times. */
  #oldestCpu(cpu: Cpu | undefined): Cpu | undefined {
    if (cpu !== undefined) return this.#cpuBuffer(cpu).peekTime() === undefined ? undefined : cpu;
    let oldest: Cpu | undefined;
    let oldestTime = Infinity;
    for (const [index, buffer] of this.#cpuBuffers.entries()) {
      const time = buffer.peekTime();
      if (time === undefined || time >= oldestTime) continue;
      oldest = Cpu(index);
      oldestTime = time;
    }
    return oldest;
  }

  #peekedRecord(cpu: Cpu): TraceRecord {
    const buffer = this.#cpuBuffer(cpu);
    const time = buffer.peekTime();
    assert(time !== undefined, 'the CPU has an event');
    return traceRecord(cpu, time, buffer.peekedEntry(), buffer.lost);
  }
}

function assertSubBufferCount(count: number): void {
  assert(Number.isInteger(count) && count >= SUB_BUFFERS_MIN, 'a CPU has enough sub-buffers');
}
