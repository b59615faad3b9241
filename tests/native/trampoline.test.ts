import { spawnSync } from 'node:child_process';
import { LANE_HEADER, SLOT, slotLayout, slotText } from '@usertrace/uprobes';
import { describe, expect, it } from 'vitest';
import { cProgram } from '../support/c-programs.ts';
import { missing } from '../support/requirements.ts';
import { fetchArguments } from './fetch-arguments.ts';
import { FUNCTION, laneShape, LANES, numbers, segmentBytes, segmentsOf } from './probed-function.ts';

interface Hit {
  readonly sequence: bigint;
  readonly tid: number;
  readonly pid: number;
  readonly probe: number;
  readonly faults: bigint;
  readonly slot: Buffer;
}

interface RunResult {
  readonly pid: number;
  readonly nsPerCall: number;
  readonly broken: bigint;
  readonly hits: Hit[];
  readonly lost: bigint;
}

/** Calls the function with a jump to a trampoline in front. */
function run(
  text: string,
  options: {
    threads?: number;
    calls?: number;
    gate?: number;
    probes?: number;
    slotCountShift?: number;
    isProbed?: boolean;
    isReturn?: boolean;
    isTimed?: boolean;
  } = {},
): RunResult {
  const {
    threads = 1,
    calls = 1000,
    gate = 77,
    probes = 1,
    slotCountShift = 14,
    isProbed = true,
    isReturn = false,
    isTimed = false,
  } = options;
  const fetched = fetchArguments(text);
  const shape = laneShape(slotLayout(fetched).size, slotCountShift, 1);
  const { laneSizeShift, slotSizeShift } = shape;
  const lanesSize = 2 ** (laneSizeShift + 1);
  const segments = segmentsOf({
    probes: Array.from({ length: probes }, () => ({
      arguments: fetched,
      lanes: { ...shape, address: LANES },
    })),
    gates: Array.from({ length: probes }, (_, index) => gate + (gate && index)),
    lanesSize,
    isReturn,
    isProbed,
  });
  const input = Buffer.concat([
    numbers(segments.length, FUNCTION, threads, calls, LANES, lanesSize),
    segmentBytes(segments),
  ]);
  const done = spawnSync(cProgram('tests/programs/trampoline-run.c'), {
    input,
    maxBuffer: 1 << 30,
    timeout: 120_000,
  });
  expect({ status: done.status, signal: done.signal }).toEqual({ status: 0, signal: null });
  const memory = done.stdout.subarray(16);
  const hits: Hit[] = [];
  let lost = 0n;
  for (let lane = 0; lane < 2; lane++) {
    const start = lane * 2 ** laneSizeShift;
    lost += memory.readBigUInt64LE(start + LANE_HEADER.lost);
    const head = Number(memory.readBigUInt64LE(start + LANE_HEADER.head));
    for (let index = 0; index < (isTimed ? 0 : head); index++) {
      const slot = memory
        .subarray(start + LANE_HEADER.size + (index << slotSizeShift))
        .subarray(0, 1 << slotSizeShift);
      expect(slot.readBigUInt64LE(SLOT.sequence)).toBe(BigInt(index + 1));
      const [tid, pid, probe] = [SLOT.tid, SLOT.pid, SLOT.probe].map((at) => slot.readUInt32LE(at));
      const faults = slot.readBigUInt64LE(SLOT.faults);
      hits.push({
        sequence: BigInt(index + 1),
        tid: tid ?? 0,
        pid: pid ?? 0,
        probe: probe ?? 0,
        faults,
        slot,
      });
    }
  }
  const nsPerCall = Number(done.stdout.readBigUInt64LE(0)) / calls;
  return { pid: done.pid, nsPerCall, broken: done.stdout.readBigUInt64LE(8), hits, lost };
}

function value(hit: Hit | undefined, text: string, index: number): bigint {
  return hit?.slot.readBigUInt64LE(slotLayout(fetchArguments(text)).places[index]?.offset ?? 0) ?? -1n;
}

describe.skipIf(missing('cc') !== undefined)('a trampoline', () => {
  it('records each hit of each thread with its registers, and the program’s results stay right', () => {
    const text = '%di %si %dx %sp %ip \\-5 %cs';
    const { pid, hits, broken, lost } = run(text, { threads: 4, calls: 2000 });
    expect({ broken, lost, hits: hits.length }).toEqual({ broken: 0n, lost: 0n, hits: 8000 });
    const tids = new Set(hits.map(({ tid }) => tid));
    expect(tids.size).toBe(4);
    // The process's threads are made after its leader, which does not call the function.
    expect([...tids].every((tid) => tid > pid && tid < pid + 1000)).toBe(true);
    expect(new Set(hits.map((hit) => hit.pid))).toEqual(new Set([pid]));
    expect(new Set(hits.map(({ probe }) => probe))).toEqual(new Set([77]));
    for (const hit of hits) {
      expect(value(hit, text, 1)).toBe(value(hit, text, 0) * 3n);
      expect(value(hit, text, 3) % 16n).toBe(8n);
      expect(value(hit, text, 4)).toBe(BigInt(FUNCTION));
      expect(BigInt.asIntN(64, value(hit, text, 5))).toBe(-5n);
      expect(value(hit, text, 6)).toBe(0x33n);
      expect(hit.faults).toBe(0n);
    }
    const seen = hits.map((hit) => Number(value(hit, text, 0))).toSorted((one, other) => one - other);
    expect(seen).toEqual(Array.from({ length: 8000 }, (_, index) => Math.floor(index / 4)));
  });

  it('reads texts and memory, near the stack pointer and elsewhere, and tells what it cannot read', () => {
    const text =
      '+0(%dx):string +0(%dx):u8 $stack0 @0x10:u64 +8(@0x10) @+0:x32 +2(+0(%sp)):u8 +0(%dx):u8[21] +0x7000000000000000(%di)';
    const { hits, broken } = run(text, { calls: 200 });
    expect({ broken, hits: hits.length }).toEqual({ broken: 0n, hits: 200 });
    for (const hit of hits) {
      const { places } = slotLayout(fetchArguments(text));
      expect(slotText(hit.slot, places[0]?.offset ?? 0)?.toString('latin1')).toBe('a text in the program');
      expect(value(hit, text, 1)).toBe(97n);
      expect(value(hit, text, 2)).toBeGreaterThan(0x1000n);
      expect([value(hit, text, 3), value(hit, text, 4), value(hit, text, 8)]).toEqual([0n, 0n, 0n]);
      // The jump itself stands where the function began.
      expect(value(hit, text, 5) & 0xffn).toBe(0xe9n);
      expect(hit.slot.toString('latin1', places[7]?.offset, (places[7]?.offset ?? 0) + 21)).toBe(
        'a text in the program',
      );
      expect(hit.faults).toBe(0b1_0001_1000n);
    }
  });

  it('records for each probe of its place', () => {
    const { hits, broken } = run('%di +0(%dx):u8', { threads: 2, calls: 500, probes: 3 });
    expect({ broken, hits: hits.length }).toEqual({ broken: 0n, hits: 3000 });
    const counts = [77, 78, 79].map((number) => hits.filter(({ probe }) => probe === number).length);
    expect(counts).toEqual([1000, 1000, 1000]);
  });

  it('of a return tells the value and where it returns to, and returns there', () => {
    const text = '%ax $retval %sp $stack %ip $stack0';
    const { hits, broken, lost } = run(text, { threads: 4, calls: 2000, isReturn: true });
    expect({ broken, lost, hits: hits.length }).toEqual({ broken: 0n, lost: 0n, hits: 8000 });
    const callers = new Set(hits.map(({ slot }) => slot.readBigUInt64LE(SLOT.returnAddress)));
    expect(callers.size).toBe(1);
    for (const hit of hits) {
      expect(value(hit, text, 1)).toBe(value(hit, text, 0));
      // As the caller has it, whose frame is aligned.
      expect([value(hit, text, 2) % 16n, value(hit, text, 3)]).toEqual([0n, value(hit, text, 2)]);
      expect(value(hit, text, 4)).toBe([...callers][0]);
      expect(value(hit, text, 5)).not.toBe(value(hit, text, 4));
    }
    const seen = hits.map((hit) => Number(value(hit, text, 1))).toSorted((one, other) => one - other);
    expect(seen).toEqual(Array.from({ length: 8000 }, (_, index) => 4 * Math.floor(index / 4) + 7));
    expect(run(text, { isReturn: true, gate: 0 })).toMatchObject({ broken: 0n, hits: [], lost: 0n });
  });

  it('records nothing while its gate is shut', () => {
    expect(run('%di', { gate: 0 })).toMatchObject({ broken: 0n, hits: [], lost: 0n });
  });

  it('counts what a full lane has no room for, and overwrites nothing', () => {
    const { hits, lost, broken } = run('%di', { threads: 2, calls: 5000, slotCountShift: 10 });
    expect(BigInt(hits.length) + lost).toBe(10_000n);
    expect(broken).toBe(0n);
    expect(hits.length).toBeLessThan(2048);
  });

  it('costs tens of nanoseconds', () => {
    const calls = 100_000;
    const unprobed = run('', { calls, isProbed: false, isTimed: true }).nsPerCall;
    const table = ['', '%di', '%di %si %dx %cx', '$stack0', '+0(%sp):u32 +8(%sp):u64', '+0(%dx):string'].map(
      (text) => {
        const shift = text.includes('string') ? 15 : 17;
        const count = text.includes('string') ? 20_000 : calls;
        return `${text === '' ? 'no argument' : text}: ${(run(text, { calls: count, slotCountShift: shift, isTimed: true }).nsPerCall - unprobed).toFixed(0)} ns`;
      },
    );
    const shut = (run('%di', { calls, gate: 0, isTimed: true }).nsPerCall - unprobed).toFixed(1);
    console.log(`unprobed ${unprobed.toFixed(1)} ns; a hit more: ${table.join(', ')}; gate shut ${shut} ns`);
  }, 120_000);
});
