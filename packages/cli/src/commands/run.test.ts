import { describe, expect, it } from 'vitest';
import { summary } from './run.ts';

describe('summary()', () => {
  it('counts events and losses in words', () => {
    expect(summary({ eventCount: 1, lostCount: 0 })).toBe('1 event recorded, 0 lost');
    expect(summary({ eventCount: 20, lostCount: 3 })).toBe('20 events recorded, 3 lost');
  });
});
