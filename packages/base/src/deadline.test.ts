import { describe, expect, it, vi } from 'vitest';
import { isInTime } from './deadline.ts';

/** Longer than any test runs. */
const LONG_MS = 600_000;

describe('isInTime()', () => {
  it('is true for a promise that is fulfilled in time, whatever with', async () => {
    expect(await isInTime(Promise.resolve(), LONG_MS)).toBe(true);
    expect(await isInTime(Promise.resolve(false), LONG_MS)).toBe(true);
  });

  it('is false for one that is late, and takes no notice when that is rejected', async () => {
    let reject: ((error: Error) => void) | undefined;
    const promise = new Promise<never>((_, refuse) => {
      reject = refuse;
    });
    expect(await isInTime(promise, 1)).toBe(false);
    reject?.(new Error('too late'));
  });

  it('throws what a promise was rejected with in time', async () => {
    await expect(isInTime(Promise.reject(new Error('refused')), LONG_MS)).rejects.toThrow('refused');
  });

  it('leaves no timer behind', async () => {
    vi.useFakeTimers();
    try {
      await isInTime(Promise.resolve(), LONG_MS);
      expect(vi.getTimerCount()).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });
});
