import { describe, expect, it } from 'vitest';
import { readCounter } from './time-stamp-counter.ts';

describe('readCounter()', () => {
  it('tells the clock of the same moment, and a counter that goes on as the clock does', () => {
    const readings = Array.from({ length: 200 }, () => {
      const before = process.hrtime.bigint();
      const reading = readCounter();
      expect(reading.timeNs).toBeGreaterThanOrEqual(before);
      expect(reading.timeNs).toBeLessThanOrEqual(process.hrtime.bigint());
      return reading;
    });
    for (const [index, { counter, timeNs }] of readings.entries()) {
      const former = readings[index - 1];
      if (former === undefined) continue;
      expect(counter).toBeGreaterThan(former.counter);
      expect(timeNs).toBeGreaterThan(former.timeNs);
    }
  });
});
