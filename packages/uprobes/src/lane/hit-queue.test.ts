import { describe, expect, it } from 'vitest';
import { HitQueue } from './hit-queue.ts';

describe('HitQueue', () => {
  it('lets hits out in the order of their times, when they have settled', () => {
    const taken: [string, bigint][] = [];
    const queue = new HitQueue<string>((hit, timeNs) => taken.push([hit, timeNs]));
    for (const [hit, timeNs] of [
      ['c', 30n],
      ['a', 10n],
      ['b', 20n],
      ['b too', 20n],
    ] as const)
      queue.push(hit, timeNs);
    queue.release(20n);
    expect(taken).toEqual([
      ['a', 10n],
      ['b', 20n],
      ['b too', 20n],
    ]);
    queue.push('between', 25n);
    queue.release(24n);
    expect(taken).toHaveLength(3);
    queue.release();
    expect(taken.slice(3)).toEqual([
      ['between', 25n],
      ['c', 30n],
    ]);
    queue.release();
    expect(taken).toHaveLength(5);
  });

  it('keeps a bounded number of them waiting', () => {
    let taken = 0;
    const queue = new HitQueue<number>(() => (taken += 1));
    for (let hit = 0; hit < 200_000; hit++) queue.push(hit, BigInt(hit));
    expect(taken).toBeGreaterThan(130_000);
    queue.release();
    expect(taken).toBe(200_000);
  });
});
