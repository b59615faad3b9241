/** What trampolines have written, read back: order, times, threads, records, and filters that they decide. */
import { spawnSync } from 'node:child_process';
import { EventFilter } from '@usertrace/abi';
import {
  CounterClock,
  filterCondition,
  filterFields,
  HitQueue,
  LANE_HEADER,
  LanesReader,
  RecordEncoder,
  slotLayout,
  type SlotHit,
} from '@usertrace/uprobes';
import { describe, expect, it } from 'vitest';
import { cProgram } from '../support/c-programs.ts';
import { missing } from '../support/requirements.ts';
import { definitionOf } from './fetch-arguments.ts';
import { FUNCTION, laneShape, LANES, numbers, segmentBytes, segmentsOf } from './probed-function.ts';

const PROBE = 77;
const SLOT_COUNT_SHIFT = 14;

interface Read {
  readonly hits: { readonly hit: SlotHit; readonly timeNs: bigint }[];
  readonly lost: number;
  readonly damage: readonly string[];
  /** The time before and after the program ran. */
  readonly beginNs: bigint;
  readonly endNs: bigint;
  /** The fields of each hit's record behind its address. */
  readonly records: Buffer[];
}

/** Calls the function with (i, 3 * i, text), and reads what its probe has written. */
function run(words: string, calls: number, threads: number, filter?: string): Read {
  const definition = definitionOf(words);
  const expression =
    filter === undefined ? undefined : EventFilter.parse(filter, filterFields(definition), 1)?.expression;
  const condition = expression === undefined ? undefined : filterCondition(expression);
  const shape = laneShape(slotLayout(definition.arguments).size, SLOT_COUNT_SHIFT, 1);
  const { laneSizeShift } = shape;
  const lanesSize = 2 ** (laneSizeShift + 1);
  const segments = segmentsOf({
    probes: [
      {
        arguments: definition.arguments,
        lanes: { ...shape, address: LANES },
        ...(condition === undefined ? {} : { condition }),
      },
    ],
    gates: [PROBE],
    lanesSize,
  });
  const clock = new CounterClock();
  const beginNs = process.hrtime.bigint();
  const done = spawnSync(cProgram('tests/programs/trampoline-run.c'), {
    input: Buffer.concat([
      numbers(segments.length, FUNCTION, threads, calls, LANES, lanesSize),
      segmentBytes(segments),
    ]),
    maxBuffer: 1 << 30,
    timeout: 120_000,
  });
  const endNs = process.hrtime.bigint();
  expect({ status: done.status, broken: done.stdout.readBigUInt64LE(8) }).toEqual({ status: 0, broken: 0n });
  const memory = new ArrayBuffer(lanesSize);
  new Uint8Array(memory).set(done.stdout.subarray(16));
  const hits: Read['hits'] = [];
  const queue = new HitQueue<SlotHit>((hit, timeNs) => hits.push({ hit, timeNs }));
  // The reader takes the tail for what was read, and lost hits for told: it comes before the hits, as in life.
  const view = new DataView(memory);
  const lanes = [0, 1].map((lane) => lane * 2 ** laneSizeShift);
  const lost = lanes.map((lane) => view.getBigUint64(lane + LANE_HEADER.lost, true));
  for (const lane of lanes) view.setBigUint64(lane + LANE_HEADER.lost, 0n, true);
  const reader = new LanesReader(memory, [{ ...shape, offset: 0 }], clock);
  for (const [index, lane] of lanes.entries())
    view.setBigUint64(lane + LANE_HEADER.lost, lost[index] ?? 0n, true);
  const { lost: told } = reader.drain((hit, timeNs) => queue.push(hit, timeNs));
  queue.release();
  const encoder = new RecordEncoder(definition);
  const records = hits.map(({ hit }) => {
    const length = encoder.encodeSlot([BigInt(FUNCTION)], hit.slot);
    return Buffer.from(encoder.bytes.subarray(16, length));
  });
  return { hits, lost: told, damage: reader.damage, beginNs, endNs, records };
}

describe.skipIf(missing('cc') !== undefined)('lanes that trampolines have filled', () => {
  it('tell every hit of every thread, with its time and its record', () => {
    const { hits, lost, damage, beginNs, endNs, records } = run(
      'number=%di:u32 text=+0(%dx):string',
      1000,
      4,
    );
    expect({ lost, damage, hits: hits.length }).toEqual({ lost: 0, damage: [], hits: 4000 });
    const numbersByThread = new Map<number, number[]>();
    let last = beginNs;
    for (const [index, { hit, timeNs }] of hits.entries()) {
      expect(timeNs >= last && timeNs <= endNs).toBe(true);
      last = timeNs;
      const record = records[index] ?? Buffer.alloc(0);
      const number = record.readUInt32LE(0);
      numbersByThread.set(hit.tid, [...(numbersByThread.get(hit.tid) ?? []), number]);
      expect(record.toString('latin1', 8)).toBe('a text in the program\0');
    }
    // The times of one thread are in the order of its calls.
    const calls = Array.from({ length: 1000 }, (_, number) => number);
    expect([...numbersByThread.values()]).toEqual([calls, calls, calls, calls]);
  });

  it('count what they had no room for', () => {
    const { hits, lost } = run('number=%di', 40_000, 2);
    expect(hits.length + lost).toBe(80_000);
    expect(lost).toBeGreaterThan(0);
  });

  it('have what their filter wants, and nothing else takes a slot', () => {
    const filter = 'number < 10 || number & 0x100 && !(three == 0x303) || constant > 5';
    const { records, lost, hits } = run('number=%di:u16 three=%si:x32 constant=\\-7:s8', 2000, 2, filter);
    expect(lost).toBe(0);
    const wanted = Array.from({ length: 2000 }, (_, number) => number).filter(
      (number) => number < 10 || ((number & 0x100) !== 0 && number * 3 !== 0x303),
    );
    const seen = records.map((record) => record.readUInt16LE(0)).toSorted((a, b) => a - b);
    expect(seen).toEqual(wanted.flatMap((number) => [number, number]));
    expect(new Set(hits.map(({ hit }) => hit.probe))).toEqual(new Set([PROBE]));
  });
});
