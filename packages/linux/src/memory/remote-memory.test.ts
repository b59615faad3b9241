import { readdirSync } from 'node:fs';
import { Address } from '@usertrace/base';
import { describe, expect, it } from 'vitest';
import { monotonicNow } from '../clock.ts';
import {
  ALICE,
  hasCompiler,
  inWorld,
  NO_STUCK_PAGE,
  others,
  Target,
  type World,
} from './memory-target.sim.ts';

/** Another's stores go on while these are waited for, and after them. */
async function beside(
  world: World,
  begin: () => Promise<string>[],
): Promise<{ outcomes: string[]; tookNs: number }> {
  const other = await Target.start();
  others.push(other);
  const otherSpace = world.open(other);
  const store = (bit: number): Promise<string> => world.store(otherSpace, other.at('word'), bit, true);
  expect(await store(0)).toBe('stored');
  const startedNs = monotonicNow();
  let isSettled = false;
  const all = Promise.all(begin()).finally(() => {
    isSettled = true;
  });
  expect(await store(1)).toBe('stored');
  // Sooner than that none of them can be given up.
  if (monotonicNow() - startedNs < 100e6) expect(isSettled).toBe(false);
  const outcomes = await all;
  const tookNs = monotonicNow() - startedNs;
  expect(await store(2)).toBe('stored');
  return { outcomes, tookNs };
}

const descriptorCount = (): number => readdirSync('/proc/self/fd').length;

describe
  .skipIf(!hasCompiler)
  .each([{ hasMappingQuery: true }, { hasMappingQuery: false }, { hasCloseRange: false }])(
  'RemoteMemory with %o',
  (options) => {
    it('storeBit() changes one bit and nothing around it', () =>
      inWorld(async (world, target, space) => {
        expect(await world.store(space, target.at('word'), 31, true)).toBe('stored');
        expect(await world.store(space, target.at('word'), 0, true)).toBe('stored');
        expect(await world.store(space, target.at('word'), 0, true)).toBe('stored');
        const set = await world.read(space, target.at('word', -8), 16);
        expect(Buffer.from(set as Uint8Array).toString('hex')).toBe('a5a5a5a5a5a5a5a501000080a5a5a5a5');
        expect(await world.store(space, target.at('word'), 31, false)).toBe('stored');
        expect(await world.store(space, target.at('word'), 0, false)).toBe('stored');
        const clear = await world.read(space, target.at('word', -8), 16);
        expect(Buffer.from(clear as Uint8Array).toString('hex')).toBe('a5a5a5a5a5a5a5a500000000a5a5a5a5');
      }, options));

    it('storeBit() keeps the order of stores to one bit', () =>
      inWorld(async (world, target, space) => {
        const stores = Array.from({ length: 1001 }, (_, i) =>
          world.tryStore(space, target.at('word'), 5, i % 2 === 0),
        );
        // One that gets no CPU in time may have had its effect or not, and says nothing of the order; the last is done again.
        const outcomes = await Promise.all(stores);
        for (const outcome of outcomes) expect(outcome).toMatch(/^(stored|late)$/);
        if (outcomes.at(-1) === 'late') await world.store(space, target.at('word'), 5, true);
        expect(await world.read(space, target.at('word'), 1)).toEqual(Uint8Array.of(32));
      }, options));

    it('writes only where the program may write', () =>
      inWorld(async (world, target, space) => {
        for (const place of ['readonly', 'none', 'unmapped'] as const) {
          expect(await world.store(space, target.at(place), 3, true)).toBe('faulted');
          expect(await world.write(space, target.at(place), new Uint8Array(4))).toBe('faulted');
        }
        expect(await world.store(space, Address(0xffff_ffff_ff60_0000n), 3, true)).toBe('faulted');
        expect(await world.write(space, target.at('two', -3), Uint8Array.of(1, 2, 3, 4))).toBe('stored');
        expect(await world.write(space, target.at('two', -2), Uint8Array.of(5, 6, 7, 8))).toBe('faulted');
        expect(await world.read(space, target.at('two', -3), 5)).toEqual(Uint8Array.of(1, 2, 3, 4, 0));
        expect(await world.read(space, target.at('readonly'), 1)).toEqual(Uint8Array.of(0));
      }, options));

    it('read() gives what there is up to the first byte that the program may not read', () =>
      inWorld(async (world, target, space) => {
        const text = await world.read(space, target.at('text'), 512);
        expect(Buffer.from(text as Uint8Array).toString()).toBe('usertrace');
        expect(await world.read(space, target.at('two', -4095), 4096)).toHaveLength(4096);
        expect(await world.read(space, target.at('none'), 1)).toBe('faulted');
        expect(await world.read(space, target.at('unmapped'), 1)).toBe('faulted');
        expect(await world.read(space, Address(0xffff_ffff_ffff_ffffn), 8)).toBe('faulted');
        expect(await world.read(space, Address(0n), 8)).toBe('faulted');
      }, options));

    it('never reaches the image that a program executes later', () =>
      inWorld(async (world, target, space) => {
        expect(world.memory.isAlive(space)).toBe(true);
        await target.exec();
        expect(world.memory.isAlive(space)).toBe(false);
        expect(await world.store(space, target.at('word'), 31, true)).toBe('gone');
        expect(await world.read(space, target.at('word'), 4)).toBe('gone');
        expect(await world.write(space, target.at('word'), new Uint8Array(4))).toBe('gone');
        const later = world.open(target);
        expect(world.memory.isAlive(later)).toBe(true);
      }, options));

    it('settles a page that userfaultfd never brings', () =>
      inWorld(async (world, target, space) => {
        if (target.at('hung') === 0n) return console.warn('skipped: no userfaultfd here');
        // Linux 6.18 answers EIO at once; a kernel may also wait.
        expect(await world.tryStore(space, target.at('hung'), 1, true)).toMatch(/faulted|late/);
        expect(await world.store(space, target.at('word'), 1, true)).toBe('stored');
      }, options));

    it('settles a page that does not come in time as late, and delays nobody else', () =>
      inWorld(async (world, target, space) => {
        if (target.at('stuck') === 0n) return console.warn(NO_STUCK_PAGE);
        await target.stopServer();
        const { outcomes, tookNs } = await beside(world, () => [
          world.tryStore(space, target.at('stuck'), 1, true),
          world.store(space, target.at('word'), 1, true),
          world.tryStore(space, target.at('stuck'), 1, false),
        ]);
        expect(outcomes).toEqual(['late', 'stored', 'late']);
        expect(tookNs).toBeGreaterThan(200e6);
        expect(await world.store(space, target.at('word'), 1, false)).toBe('stored');
      }, options));

    it('settles a page whose file system does not answer as late, and delays nobody else', () =>
      inWorld(async (world, target, space) => {
        if (target.at('stuck') === 0n) return console.warn(NO_STUCK_PAGE);
        const { outcomes, tookNs } = await beside(world, () => [
          world.tryStore(space, target.at('stuck'), 1, true),
          world.tryStore(space, target.at('stuck'), 1, false),
        ]);
        expect(outcomes).toEqual(['late', 'late']);
        expect(tookNs).toBeGreaterThan(100e6);
        expect(await world.tryRead(space, target.at('stuck'), 1)).toBe('late');
        expect(world.memory.isAlive(space)).toBe(true);
      }, options));
  },
);

describe.skipIf(!hasCompiler)('RemoteMemory', () => {
  it('isAlive() tells of exit, and not before the last task that shares the memory', () =>
    inWorld(async (world, target, space) => {
      expect(world.memory.isAlive(space)).toBe(true);
      await target.end();
      expect(world.memory.isAlive(space)).toBe(false);
      expect(await world.store(space, target.at('word'), 31, true)).toBe('gone');
      expect(world.memory.open(target.tid, ALICE)).toBeUndefined();
    }));

  it("storeBit() loses none of the program's own counting in the same word", () =>
    inWorld(async (world, target, space) => {
      await target.obey('c');
      for (let i = 0; i < 2000; i++) {
        expect(await world.store(space, target.at('word'), 31, i % 2 === 0)).toBe('stored');
        expect(await world.read(space, target.at('word', 3), 1)).toEqual(
          Uint8Array.of(i % 2 === 0 ? 0x80 : 0),
        );
      }
      expect(world.memory.isAlive(space)).toBe(true);
    }));

  it('never settles before the call has returned', () =>
    inWorld(async (world, target, space) => {
      let isSettled = false;
      await new Promise<void>((resolve) => {
        world.memory.storeBit(space, target.at('word'), 0, true, () => {
          isSettled = true;
          resolve();
        });
        expect(isSettled).toBe(false);
      });
    }));

  it('close() settles what has not begun as gone, and gives the descriptors back', () =>
    inWorld(async (world, target, space) => {
      const count = descriptorCount();
      const extra = world.open(target);
      expect(descriptorCount()).toBe(count + 2);
      const outcome = world.tryStore(extra, target.at('word'), 0, true);
      world.memory.close(extra);
      expect(await outcome).toBe('gone');
      expect(descriptorCount()).toBe(count);
      expect(world.memory.isAlive(extra)).toBe(false);
      expect(await world.read(space, target.at('word'), 1)).toEqual(Uint8Array.of(0));
    }));
});
