import { LANE, PAGE_TABLE_OFFSET, decodeSubBuffer, lanePagesOffset } from '@usertrace/abi';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LaneReader } from './lane-reader.ts';
import { SimulatedLane } from './lane.sim.ts';

const SEED = Number(process.env['USERTRACE_SEED'] ?? Date.now() % 2 ** 31);
const RUNS = Number(process.env['USERTRACE_RUNS'] ?? 300);

/** Collects numbers of events, in the way a recorder does: an incomplete page replaces what was read of it before. */
class Collector {
  readonly numbers: number[] = [];
  lost = 0;
  /** What was found wrong. */
  readonly expectations: string[] = [];
  readonly #reader: LaneReader;
  #partial: { number: number; length: number; lost: number } | undefined;

  constructor(reader: LaneReader) {
    this.#reader = reader;
  }

  take(): boolean {
    const pages = this.#reader.next();
    for (const page of pages) {
      if (this.#partial?.number === page.number) {
        this.numbers.length = this.#partial.length;
        this.lost = this.#partial.lost;
      }
      const before = { number: page.number, length: this.numbers.length, lost: this.lost };
      this.lost += page.lostBefore;
      let count = 0;
      for (const { entry } of decodeSubBuffer(page.bytes)) {
        const view = new DataView(entry.buffer, entry.byteOffset, entry.length);
        const number = view.getUint32(8, true);
        const expected = this.numbers.length + this.lost;
        if (number !== expected) this.expectations.push(`${number} where ${expected} was expected`);
        for (let at = 12; at < entry.length; at += 4) {
          if (view.getUint32(at, true) !== number) this.expectations.push(`${number} is torn`);
        }
        this.numbers.push(number);
        count++;
      }
      if (page.isComplete) {
        if (page.eventCount !== count) this.expectations.push(`${count} events, ${page.eventCount} said`);
        this.#partial = undefined;
      } else {
        this.#reader.countPartial(count);
        this.#partial = before;
      }
    }
    return pages.length > 0;
  }

  takeAll(): void {
    while (this.take());
  }
}

describe('LaneReader', () => {
  it('delivers every event once, in order, while the writer goes on', () => {
    const lane = new SimulatedLane(8);
    const collector = new Collector(new LaneReader(lane.read, 8));
    for (let i = 0; i < 5000; i++) {
      lane.write(i % 40);
      if (i % 50 === 0) collector.takeAll();
    }
    collector.takeAll();
    expect(collector.expectations).toEqual([]);
    expect(collector.numbers).toHaveLength(5000);
    expect(collector.lost).toBe(0);
  });

  it('counts what was overwritten before it came, in the page after the gap', () => {
    const lane = new SimulatedLane(4);
    const reader = new LaneReader(lane.read, 4);
    const collector = new Collector(reader);
    lane.write();
    collector.takeAll();
    for (let i = 0; i < 2000; i++) lane.write();
    collector.takeAll();
    expect(collector.expectations).toEqual([]);
    expect(collector.numbers[0]).toBe(0);
    expect(collector.numbers[1]).toBe(1 + collector.lost);
    expect(collector.numbers.length + collector.lost).toBe(2001);
  });

  it('counts what was discarded because it had not read', () => {
    const lane = new SimulatedLane(4);
    lane.keepFrom = 0;
    const reader = new LaneReader(lane.read, 4);
    const collector = new Collector(reader);
    for (let i = 0; i < 2000; i++) lane.write();
    collector.takeAll();
    expect(reader.tailLost()).toBe(2000 - collector.numbers.length);
    lane.keepFrom = reader.position;
    lane.write();
    collector.takeAll();
    expect(collector.expectations).toEqual([]);
    expect(collector.lost).toBe(2001 - collector.numbers.length);
    expect(reader.tailLost()).toBe(0);
  });

  it('starts with the page that is being filled, and misses nothing after that', () => {
    const lane = new SimulatedLane(4);
    for (let i = 0; i < 2000; i++) lane.write();
    const reader = new LaneReader(lane.read, 4);
    reader.seekNewest();
    const [page] = reader.next();
    expect(page).toMatchObject({ isComplete: false, lostBefore: 0 });
    const events = [...decodeSubBuffer(page?.bytes ?? new Uint8Array(16))].length;
    reader.countPartial(events);
    for (let i = 0; i < 3000; i++) lane.write();
    let lost = 0;
    let read = 0;
    for (let pages = reader.next(); pages.length > 0; pages = reader.next()) {
      for (const { bytes, lostBefore } of pages) {
        lost += lostBefore;
        read += [...decodeSubBuffer(bytes)].length;
      }
    }
    expect(read + lost).toBe(3000);
  });

  it('reads all that a writer left which was killed while it turned a page', () => {
    const lane = new SimulatedLane(4);
    for (let i = 0; i < 2000; i++) lane.write();
    const state = new Float64Array(lane.bytes.buffer, 0, 3);
    state[LANE.claimed / 8] = (state[LANE.begun / 8] as number) + 1;
    const slot = ((state[LANE.claimed / 8] as number) % 4) * 4096;
    lane.bytes.fill(0xff, lanePagesOffset(4) + slot, lanePagesOffset(4) + slot + 20);
    const reader = new LaneReader(lane.read, 4);
    const numbers: number[] = [];
    for (let pages = reader.next(); pages.length > 0; pages = reader.next()) {
      for (const { bytes } of pages) {
        for (const { entry } of decodeSubBuffer(bytes)) numbers.push(Buffer.from(entry).readUInt32LE(8));
      }
    }
    expect(numbers.at(-1)).toBe(1999);
    expect(numbers).toEqual(numbers.map((_, index) => (numbers[0] as number) + index));
  });

  it.each([
    ['a page count that is no number', (state: Float64Array) => (state[LANE.begun / 8] = Number.NaN)],
    ['a page that is nearly 0', (state: Float64Array) => (state[LANE.begun / 8] = 1e-314)],
    ['a half page', (state: Float64Array) => (state[LANE.claimed / 8] = 1e9 + 0.5)],
    ['discarded events below zero', (state: Float64Array) => (state[LANE.discarded / 8] = -1)],
    ['events before a page', (state: Float64Array) => (state[PAGE_TABLE_OFFSET / 8] = -5)],
    ['too many events in a page', (state: Float64Array) => (state[PAGE_TABLE_OFFSET / 8 + 2] = 4000)],
  ])('refuses %s that no writer leaves', (_, damage) => {
    const lane = new SimulatedLane(8);
    for (let i = 0; i < 1000; i++) lane.write();
    damage(new Float64Array(lane.bytes.buffer));
    const reader = new LaneReader(lane.read, 8);
    expect(() => {
      while (reader.next().length > 0);
    }).toThrow(/^Cannot read the lane: .*EPROTO/);
  });

  it(`events and lost are all events, whatever the writer does while pages are copied (seed ${SEED})`, () => {
    const step = fc.record({
      events: fc.nat({ max: 400 }),
      extraWords: fc.nat({ max: 60 }),
      pieces: fc.integer({ min: 1, max: 6 }),
      eventsInside: fc.array(fc.nat({ max: 300 }), { maxLength: 6 }),
      reads: fc.nat({ max: 3 }),
      gapNs: fc.constantFrom(1n, 1000n, 2n ** 27n, 2n ** 33n),
    });
    fc.assert(
      fc.property(
        fc.integer({ min: 4, max: 40 }),
        fc.boolean(),
        fc.array(step, { maxLength: 20 }),
        (pageCount, isDiscard, steps) => {
          const lane = new SimulatedLane(pageCount);
          const reader = new LaneReader(lane.read, pageCount);
          const collector = new Collector(reader);
          for (const { events, extraWords, pieces, eventsInside, reads, gapNs } of steps) {
            const writeSome = (count: number): void => {
              for (let i = 0; i < count; i++) {
                lane.now += gapNs;
                lane.write(extraWords);
              }
            };
            if (isDiscard) lane.keepFrom = reader.position;
            writeSome(events);
            lane.pieces = pieces;
            const left = [...eventsInside];
            lane.onPiece = () => writeSome(left.shift() ?? 0);
            for (let i = 0; i < reads; i++) collector.take();
          }
          lane.onPiece = () => undefined;
          collector.takeAll();
          expect(collector.expectations).toEqual([]);
          expect(collector.numbers.length + collector.lost + reader.tailLost()).toBe(lane.tried);
        },
      ),
      { seed: SEED, numRuns: RUNS },
    );
  });
});
