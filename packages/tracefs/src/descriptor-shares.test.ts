import { expect, test } from 'vitest';
import { descriptorShares } from './descriptor-shares.ts';

test.each([
  [1024, { addressSpaces: 170, ioctls: 128 }],
  [20_000, { addressSpaces: 6164, ioctls: 625 }],
  [1_048_576, { addressSpaces: 346_709, ioctls: 4096 }],
])('%d descriptors suffice for all that may be at a time', (descriptors, shares) => {
  expect(descriptorShares(descriptors)).toEqual(shares);
  expect(3 * shares.addressSpaces + 2 * shares.ioctls + 256).toBeLessThanOrEqual(descriptors);
});
