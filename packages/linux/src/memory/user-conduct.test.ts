import { describe, expect, it } from 'vitest';
import { monotonicNow } from '../clock.ts';
import {
  ALICE,
  BOB,
  executorsOf,
  hasCompiler,
  inWorld,
  NO_STUCK_PAGE,
  others,
  Target,
  type World,
} from './memory-target.sim.ts';
import { MAX_HELD_PER_USER } from './user-conduct.ts';

/** So many hangs delay those who wait for them by 300 ms at least. */
const STUCK_READS = 60;

/** Reads the stuck page through so many handles at once. */
const readStuck = (world: World, target: Target, count: number): Promise<unknown>[] =>
  Array.from({ length: count }, () => world.open(target, BOB)).map((space) =>
    world.tryRead(space, target.at('stuck'), 1),
  );

describe.skipIf(!hasCompiler)('a user whose pages hang again and again', () => {
  it('delays nobody of another user for each of them', () =>
    inWorld(async (world, target) => {
      if (target.at('stuck') === 0n) return console.warn(NO_STUCK_PAGE);
      const other = await Target.start();
      others.push(other);
      const otherSpace = world.open(other, ALICE);
      const startedNs = monotonicNow();
      const late = readStuck(world, target, STUCK_READS);
      expect(await world.store(otherSpace, other.at('word'), 1, true)).toBe('stored');
      const tookNs = monotonicNow() - startedNs;
      expect(new Set(await Promise.all(late))).toEqual(new Set(['late']));
      // Each of them would delay it by 5 ms and more, were they in one line.
      expect(tookNs).toBeLessThan((monotonicNow() - startedNs) / 2);
    }));

  it('holds a bounded number of executors, and none of others', () =>
    inWorld(async (world, target) => {
      if (target.at('stuck') === 0n) return console.warn(NO_STUCK_PAGE);
      const late = await Promise.all(readStuck(world, target, 2 * MAX_HELD_PER_USER));
      expect(new Set(late)).toEqual(new Set(['late']));
      // Those that still serve are among them.
      const count = executorsOf(process.pid).length;
      expect(count).toBeGreaterThan(MAX_HELD_PER_USER / 2);
      expect(count).toBeLessThanOrEqual(MAX_HELD_PER_USER + 3);
      const other = await Target.start();
      others.push(other);
      expect(await world.store(world.open(other, ALICE), other.at('word'), 1, true)).toBe('stored');
      expect(await world.tryStore(world.open(other, BOB), other.at('word'), 2, true)).toBe('late');
    }));

  it('is known by the task again when its memory is opened anew', () =>
    inWorld(async (world, target) => {
      if (target.at('stuck') === 0n) return console.warn(NO_STUCK_PAGE);
      await Promise.all(readStuck(world, target, 1));
      expect(world.open(target, BOB).isSuspect).toBe(true);
      expect(world.open(target, ALICE).isSuspect).toBe(false);
    }));
});
