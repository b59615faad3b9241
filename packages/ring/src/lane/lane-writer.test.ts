import { decodeSubBuffer, LANE, laneSize, lanePagesOffset, SUB_BUFFER_SIZE } from '@usertrace/abi';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DISCARDED, LANE_COMMIT_WORD, LANE_RECORD_WORDS_MAX, LaneWriter } from './lane-writer.ts';

const SEED = Number(process.env['USERTRACE_SEED'] ?? Date.now() % 2 ** 31);
const RUNS = Number(process.env['USERTRACE_RUNS'] ?? 300);
const PAGES = 4;

/** A lane with a clock of its own, whose events are numbers, each with padding of its own length. */
class Rig {
  readonly writer: LaneWriter;
  now = 1_000n;
  keepFrom = Number.POSITIVE_INFINITY;
  timesPassed = 0;
  readonly #memory = new ArrayBuffer(laneSize(PAGES));

  constructor() {
    this.writer = new LaneWriter(this.#memory, 0, PAGES, {
      mayOverwrite: (page) => page < this.keepFrom,
      timePassed: () => (this.timesPassed += 1),
    });
  }

  /** Writes an event as an encoder does, without its shortcut. */
  emit(number: number, entryWords = 3): boolean {
    const low = Number(BigInt.asIntN(32, this.now));
    const at = this.writer.enter(entryWords + 2, low, Number(this.now >> 32n));
    if (at === DISCARDED) return false;
    const { words } = this.writer;
    words[at] = 0;
    words[at + 1] = entryWords * 4 + 4;
    words[at + 2] = number;
    this.writer.at = at + 2 + entryWords;
    this.writer.eventsInPage += 1;
    words[this.writer.page + LANE_COMMIT_WORD] = (this.writer.at - this.writer.page - 4) * 4;
    return true;
  }

  /** Numbers and times in the lane, the oldest first. */
  events(): { number: number; timestamp: bigint }[] {
    const begun = new Float64Array(this.#memory)[LANE.begun / 8] as number;
    const found = [];
    for (let page = Math.max(0, begun - PAGES + 1); page <= begun; page++) {
      const start = lanePagesOffset(PAGES) + (page % PAGES) * SUB_BUFFER_SIZE;
      for (const { timestamp, entry } of decodeSubBuffer(
        new Uint8Array(this.#memory, start, SUB_BUFFER_SIZE),
      )) {
        found.push({ number: new DataView(entry.buffer, entry.byteOffset).getUint32(0, true), timestamp });
      }
    }
    return found;
  }
}

describe('LaneWriter', () => {
  it(`keeps the last events with their exact times, however far apart (USERTRACE_SEED=${SEED})`, () => {
    const step = fc.record({
      passed: fc.oneof(fc.bigInt(0n, 200n), fc.bigInt(0n, 2n ** 40n)),
      entryWords: fc.oneof(
        fc.integer({ min: 3, max: 40 }),
        fc.integer({ min: 3, max: LANE_RECORD_WORDS_MAX - 2 }),
      ),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const rig = new Rig();
        const written = steps.map(({ passed, entryWords }, number) => {
          rig.now += passed;
          expect(rig.emit(number, entryWords)).toBe(true);
          return { number, timestamp: rig.now };
        });
        const kept = rig.events();
        expect(kept).toEqual(written.slice(written.length - kept.length));
        expect(rig.writer.written).toBe(steps.length);
        expect(rig.writer.discarded).toBe(0);
      }),
      { seed: SEED, numRuns: RUNS },
    );
  });

  it('discards while somebody waits for a page, the small ones too, and goes on with a page of its own', () => {
    const rig = new Rig();
    rig.keepFrom = 0;
    let written = 0;
    while (rig.emit(written, 500)) written += 1;
    expect(written).toBe(PAGES * 2);
    expect(rig.emit(1000)).toBe(false);
    expect(rig.writer.discarded).toBe(2);
    rig.keepFrom = 2;
    expect(rig.emit(2000)).toBe(true);
    expect(rig.writer.discarded).toBe(2);
    expect(rig.events().map(({ number }) => number)).toEqual([2, 3, 4, 5, 6, 7, 2000]);
  });

  it('stands still while its clock goes back', () => {
    const rig = new Rig();
    rig.emit(0);
    rig.now -= 500n;
    rig.emit(1);
    rig.now += 600n;
    rig.emit(2);
    expect(rig.events().map(({ timestamp }) => timestamp)).toEqual([1000n, 1000n, 1100n]);
  });

  it('tells its owner now and then that time has passed', () => {
    const rig = new Rig();
    rig.emit(0);
    const before = rig.timesPassed;
    rig.now += 2n ** 33n;
    rig.emit(1);
    expect(rig.timesPassed).toBe(before + 1);
  });

  it('appends entries of all lengths as an encoder would, at their times', () => {
    const step = fc.record({
      passed: fc.oneof(fc.bigInt(0n, 200n), fc.bigInt(0n, 2n ** 40n)),
      length: fc.integer({ min: 16, max: 4064 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const memory = new ArrayBuffer(laneSize(64));
        const writer = new LaneWriter(memory, 0, 64, {
          mayOverwrite: () => true,
          timePassed: () => undefined,
        });
        let now = 5_000n;
        const written: { timestamp: bigint; text: string }[] = [];
        for (const [number, { passed, length }] of steps.entries()) {
          now += passed;
          const entry = Buffer.alloc((length + 3) & ~3, number);
          expect(writer.append(entry, length, Number(BigInt.asIntN(32, now)), Number(now >> 32n))).toBe(true);
          written.push({ timestamp: now, text: entry.toString('latin1') });
        }
        const read = [];
        for (let page = 0; page < 64; page++) {
          const bytes = new Uint8Array(memory, lanePagesOffset(64) + page * SUB_BUFFER_SIZE, SUB_BUFFER_SIZE);
          for (const { timestamp, entry } of decodeSubBuffer(bytes)) {
            read.push({ timestamp, text: Buffer.from(entry).toString('latin1') });
          }
        }
        expect(read).toEqual(written);
        expect(writer.append(Buffer.alloc(4068), 4068, 0, 0)).toBe(false);
        writer.discard(7);
        expect(writer).toMatchObject({ written: steps.length, discarded: 8 });
      }),
      { seed: SEED, numRuns: RUNS },
    );
  });
});
