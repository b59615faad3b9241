import { describe, expect, test } from 'vitest';
import { MetadataSpace } from './metadata-space.ts';

describe('MetadataSpace', () => {
  test('gives a replaced block out again after some checkpoints, not before', () => {
    const space = new MetadataSpace(4096, 100);
    const first = space.allocate(96);
    space.replace(first);
    for (let checkpoint = 0; checkpoint < 4; checkpoint++) {
      expect(() => space.allocate(96)).toThrow(/Cannot describe the recording in 100 bytes.*ENOSPC/);
      space.passCheckpoint();
    }
    expect(space.allocate(96).position).toBe(4096);
  });

  test('joins what is free', () => {
    const space = new MetadataSpace(0, 96);
    const blocks = [space.allocate(32), space.allocate(30), space.allocate(32)];
    for (const block of [blocks[1], blocks[0], blocks[2]]) if (block !== undefined) space.release(block);
    expect(space.allocate(96)).toEqual({ position: 0, size: 96 });
  });

  test('never gives the same bytes out twice', () => {
    const space = new MetadataSpace(0, 800);
    const taken = Array.from({ length: 10 }, (_, index) => space.allocate(1 + index * 8));
    const ends = taken.map(({ position, size }) => position + size);
    expect(taken.slice(1).map(({ position }) => position)).toEqual(ends.slice(0, -1));
  });
});
