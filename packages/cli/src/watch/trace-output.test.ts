import { decodeSubBuffer, readSubBufferHeader, SUB_BUFFER_SIZE } from '@usertrace/abi';
import { parseEventFormat } from '@usertrace/formats';
import type { EventLane } from '@usertrace/recording';
import { describe, expect, it } from 'vitest';
import { answered, call, entered, MAIN } from './events.sim.ts';
import { watchFormats } from './trace-events.ts';
import { TraceOutput } from './trace-output.ts';

/** A lane in memory, and what its pages say. */
class MemoryLane implements EventLane {
  readonly pages: Uint8Array[] = [];
  readonly names = new Map<number, string>();
  counts: readonly number[] = [];

  append(pages: Uint8Array): void {
    for (let at = 0; at < pages.length; at += SUB_BUFFER_SIZE)
      this.pages.push(pages.slice(at, at + SUB_BUFFER_SIZE));
  }

  rewriteLast(page: Uint8Array): void {
    this.pages[this.pages.length - 1] = page.slice();
  }

  setComm(tid: number, comm: string): void {
    this.names.set(tid, comm);
  }

  end(events: number, lost: number): void {
    this.counts = [events, lost];
  }

  get times(): bigint[] {
    return this.pages.flatMap((page) => [...decodeSubBuffer(page)].map(({ timestamp }) => timestamp));
  }
}

describe('TraceOutput', () => {
  it('brings every event into the lane once and in order, whenever turns come', () => {
    const lane = new MemoryLane();
    const output = new TraceOutput(lane);
    const expected: bigint[] = [];
    for (let number = 0; number < 2000; number++) {
      const read = call(MAIN, number * 10, 'read', ['x'.repeat(number % 300)]);
      output.take(entered(read));
      output.take(answered(read, 5, number));
      expected.push(read.enteredNs, read.enteredNs + 5000n);
      if (number % 37 === 0) {
        output.turn();
        expect(lane.times).toEqual(expected);
      }
    }
    output.end();
    expect(lane.times).toEqual(expected);
    expect(lane.counts).toEqual([4000, 0]);
    expect(lane.names).toEqual(new Map([[100, 'main']]));
    expect(lane.pages.every((page) => readSubBufferHeader(page).lost === 0)).toBe(true);
  });

  it('cuts what is too long for a page, and keeps every field', () => {
    const lane = new MemoryLane();
    const output = new TraceOutput(lane);
    output.take(entered(call(MAIN, 1, 'execve', ['y'.repeat(100_000)])));
    output.end();
    const [record] = lane.pages.flatMap((page) => [...decodeSubBuffer(page)]);
    expect(Buffer.from(record?.entry ?? []).toString('latin1')).toContain('execve\0yyyy');
  });
});

describe('watchFormats()', () => {
  it('describes events of the system utrace, below the ids of providers', () => {
    const formats = watchFormats().map(({ system, text }) => parseEventFormat(system, text));
    expect(formats.map((format) => format?.name)).toEqual([
      'sys_enter',
      'sys_exit',
      'clone',
      'exec',
      'exit',
      'signal',
      'job_control',
    ]);
    expect(formats.every((format) => format !== undefined && format.id < 1024)).toBe(true);
  });
});
