import {
  SUB_BUFFER_HEADER_SIZE,
  SUB_BUFFER_SIZE,
  decodeSubBuffer,
  readSubBufferHeader,
} from '@usertrace/abi';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LaneReader } from './lane-reader.ts';
import { PageBuilder } from './page-rewrite.ts';
import { RecordRules, renameRecords, scanPage, takeWanted } from './page-scan.ts';
import { SIMULATED_ID, SIMULATED_TID, SimulatedLane } from './lane.sim.ts';

const SEED = Number(process.env['USERTRACE_SEED'] ?? Date.now() % 2 ** 31);
const RUNS = Number(process.env['USERTRACE_RUNS'] ?? 300);
const OTHER_ID = SIMULATED_ID + 1;

interface Event {
  readonly time: bigint;
  readonly id: number;
  readonly number: number;
}

function eventsOf(page: Uint8Array): Event[] {
  return [...decodeSubBuffer(page)].map(({ timestamp, entry }) => {
    const bytes = Buffer.from(entry);
    return { time: timestamp, id: bytes.readUInt16LE(0), number: bytes.readUInt32LE(8) };
  });
}

/** The pages of a lane with such events. */
function pagesOf(steps: readonly { gapNs: bigint; extraWords: number; id: number }[]): Uint8Array[] {
  const lane = new SimulatedLane(64);
  for (const { gapNs, extraWords, id } of steps) {
    lane.now += gapNs;
    lane.write(extraWords, id);
  }
  const reader = new LaneReader(lane.read, 64);
  const pages: Uint8Array[] = [];
  for (let read = reader.next(); read.length > 0; read = reader.next()) {
    pages.push(...read.map(({ bytes }) => bytes.slice()));
  }
  return pages;
}

function rulesFor(ids: Readonly<Record<number, number | undefined>>): RecordRules {
  const rules = new RecordRules(SIMULATED_TID, SIMULATED_ID, 8);
  for (const [id, written] of Object.entries(ids)) rules.add(Number(id), 4, true, written);
  return rules;
}

const lengthOf = (page: Uint8Array): number => readSubBufferHeader(page).dataLength;
const few = Array.from({ length: 9 }, (_, index) => ({
  gapNs: 5n,
  extraWords: index,
  id: index % 3 === 0 ? OTHER_ID : SIMULATED_ID,
}));

describe('scanPage()', () => {
  it('counts events, the wanted ones, and those that need another id', () => {
    const [page = new Uint8Array(0)] = pagesOf(few);
    const rules = rulesFor({ [SIMULATED_ID]: 1030, [OTHER_ID]: undefined });
    expect(scanPage(page, lengthOf(page), rules, 1e9)).toMatchObject({
      events: 9,
      wanted: 6,
      renamed: 6,
      elapsedNs: 40,
      isWhole: true,
    });
  });

  it.each([
    ['an id that was not declared', (page: Buffer, entry: number) => page.writeUInt16LE(1030, entry)],
    ['another thread', (page: Buffer, entry: number) => page.writeInt32LE(78, entry + 4)],
    ['a length that leaves the page', (page: Buffer, entry: number) => page.writeUInt32LE(28, entry - 4)],
    ['an entry too short', (page: Buffer, entry: number) => page.writeUInt32LE(2, entry - 4)],
    ['a time to come', (page: Buffer, entry: number) => page.writeUInt32LE((2e9 & ~31) | 3, entry - 4)],
  ])('ends at a record with %s', (_, damage) => {
    const [page = new Uint8Array(0)] = pagesOf(few.slice(0, 1));
    const rules = rulesFor({ [OTHER_ID]: OTHER_ID });
    expect(scanPage(page, lengthOf(page), rules, 1e6)).toMatchObject({ events: 1, isWhole: true });
    damage(Buffer.from(page.buffer, page.byteOffset), SUB_BUFFER_HEADER_SIZE + 4);
    expect(scanPage(page, lengthOf(page), rules, 1e6)).toMatchObject({
      events: 0,
      dataLength: 0,
      isWhole: false,
    });
  });
});

describe('renameRecords()', () => {
  it('swaps ids without mixing them up', () => {
    const [page = new Uint8Array(0)] = pagesOf(few);
    const before = eventsOf(page);
    const rules = rulesFor({ [SIMULATED_ID]: OTHER_ID, [OTHER_ID]: SIMULATED_ID });
    renameRecords(page, lengthOf(page), rules);
    const swapped = before.map((event) => ({
      ...event,
      id: event.id === OTHER_ID ? SIMULATED_ID : OTHER_ID,
    }));
    expect(eventsOf(page)).toEqual(swapped);
  });
});

describe('PageBuilder', () => {
  const step = fc.record({
    gapNs: fc.constantFrom(0n, 1n, 300n, 2n ** 27n - 1n, 2n ** 27n, 2n ** 40n),
    extraWords: fc.oneof(fc.nat({ max: 40 }), fc.nat({ max: 900 })),
    id: fc.constantFrom(SIMULATED_ID, OTHER_ID),
  });

  it(`keeps the wanted events of pages with their times, and only those (seed ${SEED})`, () => {
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 120 }),
        fc.nat({ max: 100 }),
        fc.nat({ max: 3 }),
        (steps, startPercent, lost) => {
          const pages = pagesOf(steps);
          const all = pages.flatMap(eventsOf);
          const from = all[Math.floor((all.length * startPercent) / 100)]?.time ?? 0n;
          const rules = rulesFor({ [SIMULATED_ID]: undefined, [OTHER_ID]: 2000 });
          const builder = new PageBuilder();
          const built: Uint8Array[] = [];
          const finish = (): void => {
            if (builder.eventCount > 0) built.push(builder.sealed().slice());
          };
          for (const page of pages) {
            const { timestamp, dataLength } = readSubBufferHeader(page);
            const { isWhole } = scanPage(page, dataLength, rules, Number.MAX_SAFE_INTEGER);
            expect(isWhole).toBe(true);
            takeWanted(page, dataLength, rules, Number(from - timestamp), (elapsedNs, start, length) => {
              const time = timestamp + BigInt(elapsedNs);
              if (builder.eventCount === 0) builder.open(time, lost);
              const sinceOpened = Number(time - builder.timestamp);
              if (builder.append(sinceOpened, page, start, length)) return;
              finish();
              builder.open(time, 0);
              expect(builder.append(0, page, start, length)).toBe(true);
            });
          }
          finish();
          expect(built.flatMap(eventsOf)).toEqual(
            all
              .filter(({ id, time }) => id === OTHER_ID && time >= from)
              .map((event) => ({ ...event, id: 2000 })),
          );
          built.forEach((page, index) => {
            expect(page).toHaveLength(SUB_BUFFER_SIZE);
            expect(readSubBufferHeader(page).lost).toBe(index === 0 ? lost : 0);
          });
        },
      ),
      { seed: SEED, numRuns: RUNS },
    );
  });
});
