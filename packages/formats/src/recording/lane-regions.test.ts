/** Regions under random lanes. A failing run prints its seed; USERTRACE_SEED replays it. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LaneRegions, type RecordingLane } from './lane-regions.ts';

const SEED = Number(process.env['USERTRACE_SEED'] ?? Date.now() % 2 ** 31);
const PAGE = 4096;
const START = 10 * PAGE;
const REGION = 16 * PAGE;

describe('LaneRegions', () => {
  it(`gives no byte to two lanes, however they come, grow and end (USERTRACE_SEED=${SEED})`, () => {
    const step = fc.record({
      kind: fc.constantFrom('add' as const, 'append' as const, 'close' as const),
      which: fc.nat(7),
      pages: fc.integer({ min: 1, max: 16 }),
    });
    fc.assert(
      fc.property(fc.boolean(), fc.array(step, { maxLength: 200 }), (mayGrow, steps) => {
        const regions = new LaneRegions(START, REGION, mayGrow);
        const open: RecordingLane[] = [];
        for (const { kind, which, pages } of steps) {
          const lane = open[which % Math.max(open.length, 1)];
          if (kind === 'add') open.push(regions.addLane());
          else if (lane !== undefined && kind === 'append') {
            const region = regions.regionFor(lane, pages * PAGE);
            expect(region.end + pages * PAGE).toBeLessThanOrEqual(region.limit);
            region.end += pages * PAGE;
          } else if (lane !== undefined) {
            regions.closeLane(lane);
            open.splice(open.indexOf(lane), 1);
          }
          const byPlace = regions.all.toSorted((one, other) => one.base - other.base);
          byPlace.forEach(({ end, limit, cpu }, index) => {
            const following = byPlace[index + 1];
            expect(end).toBeLessThanOrEqual(limit);
            expect(limit).toBeLessThanOrEqual(following?.base ?? Number.POSITIVE_INFINITY);
            expect(regions.all[cpu]?.end).toBe(end);
          });
        }
      }),
      { seed: SEED },
    );
  });

  it('needs no more than the lanes at a time do, for any number of lanes one after another', () => {
    const regions = new LaneRegions(START, REGION, true);
    for (let count = 0; count < 10_000; count++) {
      const lane = regions.addLane();
      regions.regionFor(lane, PAGE).end += PAGE;
      regions.closeLane(lane);
    }
    const end = Math.max(...regions.all.map((region) => region.limit));
    // Half of a region is left to nobody.
    expect(end - START).toBeLessThanOrEqual(10_000 * PAGE * 2 + REGION);
  });
});
