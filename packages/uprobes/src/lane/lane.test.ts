import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { LANE_HEADER, SLOT } from '../trampoline/lane-layout.ts';
import { CounterClock } from './counter-clock.ts';
import { Lane, type SlotHit } from './lane.ts';
import { SIMULATED_SET, SimulatedWriters } from './lane-writers.sim.ts';
import { LanesReader } from './lanes-reader.ts';

const SEED = Number(process.env['USERTRACE_SEED'] ?? Date.now() % 2 ** 31);
const RUNS = Number(process.env['USERTRACE_RUNS'] ?? 300);
const LANE = SIMULATED_SET.offset;
const THREADS = 8;

const valueOf = ({ slot }: SlotHit): number => Number(slot.readBigUInt64LE(SLOT.values));

/** What happens to writers and reader: a thread's steps, a thread's death, a look of the reader. */
const happening = fc.oneof(
  {
    weight: 20,
    arbitrary: fc.record({
      kind: fc.constant('step' as const),
      tid: fc.integer({ min: 1, max: THREADS }),
      count: fc.integer({ min: 1, max: 60 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('kill' as const), tid: fc.integer({ min: 1, max: THREADS }) }),
  },
  { weight: 6, arbitrary: fc.constant({ kind: 'drain' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'settle' as const }) },
);

/** As it is, whatever a test puts in its place. */
const { load } = Atomics;

/** Which thread goes on between two loads, and by how many steps. */
const TURNS = fc.array(fc.tuple(fc.integer({ min: 1, max: THREADS }), fc.integer({ min: 0, max: 9 })), {
  minLength: 1,
  maxLength: 400,
});

describe('a Lane', () => {
  it(`gives every hit that was published once and whole, and counts all others (USERTRACE_SEED=${SEED})`, () => {
    fc.assert(
      fc.property(fc.array(happening, { maxLength: 400 }), (happenings) => {
        const writers = new SimulatedWriters();
        const lane = new Lane(writers.memory, SIMULATED_SET, 0);
        const taken: number[] = [];
        let passedBelow = 0;
        const drain = (): void =>
          lane.drain((hit) => {
            expect(hit).toMatchObject({ probe: 5, pid: 77 });
            taken.push(valueOf(hit));
          }, passedBelow);
        for (const one of happenings) {
          if (one.kind === 'step') for (let step = 0; step < one.count; step++) writers.step(one.tid);
          else if (one.kind === 'kill') writers.kill(one.tid);
          else {
            if (one.kind === 'settle') {
              // As when all threads were seen outside.
              writers.finish();
              passedBelow = writers.head;
            }
            drain();
          }
        }
        writers.finish();
        passedBelow = writers.head;
        drain();
        expect(lane.damage).toBeUndefined();
        expect(taken.toSorted((a, b) => a - b)).toEqual(writers.published.toSorted((a, b) => a - b));
        // Those that were killed before they had a slot are nobody's hits.
        const told = taken.length + lane.lost;
        expect(told).toBeLessThanOrEqual(writers.begun);
        expect(told).toBeGreaterThanOrEqual(writers.head);
        expect(writers.view.getBigUint64(LANE + LANE_HEADER.tail, true)).toBe(BigInt(writers.head));
      }),
      { seed: SEED, numRuns: RUNS },
    );
  });

  it(`gives every hit once and whole though writers go on between its loads (USERTRACE_SEED=${SEED})`, () => {
    fc.assert(
      fc.property(TURNS, (schedule) => {
        const writers = new SimulatedWriters();
        const lane = new Lane(writers.memory, SIMULATED_SET, 0);
        const taken: number[] = [];
        let turn = 0;
        const between = vi.spyOn(Atomics, 'load').mockImplementation(((array: Int32Array, index: number) => {
          const [tid, count] = schedule[turn++] ?? [1, 0];
          for (let step = 0; step < count; step++) writers.step(tid);
          return load(array, index);
        }) as typeof Atomics.load);
        try {
          for (let look = 0; look < 100 && turn < schedule.length; look++)
            lane.drain((hit) => taken.push(valueOf(hit)));
        } finally {
          between.mockRestore();
        }
        writers.finish();
        lane.drain((hit) => taken.push(valueOf(hit)), writers.head);
        lane.drain((hit) => taken.push(valueOf(hit)), writers.head);
        expect(lane.damage).toBeUndefined();
        expect(taken.toSorted((a, b) => a - b)).toEqual(writers.published.toSorted((a, b) => a - b));
      }),
      { seed: SEED, numRuns: RUNS },
    );
  });

  it('is not held up by a thread that stands still in a trampoline', () => {
    const writers = new SimulatedWriters();
    const lane = new Lane(writers.memory, SIMULATED_SET, 0);
    const taken: number[] = [];
    for (let step = 0; step < 5; step++) writers.step(1);
    for (let step = 0; step < 4000; step++) {
      writers.step(2);
      if (step % 40 === 0) lane.drain((hit) => taken.push(valueOf(hit)));
    }
    expect(taken.length).toBeGreaterThan(50);
    expect(taken).not.toContain(0);
    writers.finish();
    lane.drain((hit) => taken.push(valueOf(hit)));
    lane.drain((hit) => taken.push(valueOf(hit)));
    expect(taken).toContain(0);
    expect(taken.length + lane.lost).toBe(writers.begun);
  });

  it('is read no more when its numbers cannot be, whatever else stands there', () => {
    for (const [offset, value] of [
      [LANE_HEADER.head, 2n ** 63n],
      [LANE_HEADER.head, 10_000n],
      [LANE_HEADER.head, 2n ** 40n],
    ] as const) {
      const writers = new SimulatedWriters();
      const lane = new Lane(writers.memory, SIMULATED_SET, 0);
      writers.view.setBigUint64(LANE + offset, value, true);
      lane.drain(() => expect.unreachable());
      expect(lane.damage).toMatch(/head is/);
    }
  });

  it('takes any bytes without harm', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 64, maxLength: 8192 }), fc.nat(10_000), (bytes, at) => {
        const writers = new SimulatedWriters();
        const lane = new Lane(writers.memory, SIMULATED_SET, 0);
        for (let step = 0; step < 500; step++) writers.step(1 + (step % 3));
        const target = new Uint8Array(writers.memory, LANE + at);
        target.set(bytes.subarray(0, target.length));
        let taken = 0;
        for (let look = 0; look < 3; look++) lane.drain(() => (taken += 1), look * 1000);
        expect(taken).toBeLessThanOrEqual(2 ** SIMULATED_SET.slotCountShift * 3);
        expect(lane.lost).toBeGreaterThanOrEqual(0);
      }),
      { seed: SEED, numRuns: RUNS },
    );
  });
});

describe('LanesReader', () => {
  it('tells the times of hits between its looks, and what was lost since the last', () => {
    let counter = 1000n;
    const writers = new SimulatedWriters();
    const clock = new CounterClock(() => ({ counter, timeNs: 5_000n + (counter - 1000n) * 2n }));
    const reader = new LanesReader(writers.memory, [SIMULATED_SET], clock);
    const times: bigint[] = [];
    for (let hit = 0; hit < 10; hit++) {
      writers.step(1);
      writers.finish();
      writers.counter += 4n;
    }
    counter = writers.counter + 10n;
    expect(reader.drain((_, timeNs) => times.push(timeNs))).toEqual({ settledNs: 5_000n, lost: 0 });
    expect(times).toEqual(Array.from({ length: 10 }, (_, hit) => 5_000n + BigInt(hit) * 10n));
    for (let step = 0; step < 2000; step++) writers.step(1);
    const { lost, settledNs } = reader.drain(() => undefined);
    expect(settledNs).toBe(5_000n + 2n * (counter - 1000n));
    expect(lost).toBeGreaterThan(0);
    expect(reader.drain(() => undefined).lost).toBe(0);
  });
});
