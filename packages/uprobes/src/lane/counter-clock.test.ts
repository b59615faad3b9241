import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CounterClock } from './counter-clock.ts';

const SEED = Number(process.env['USERTRACE_SEED'] ?? Date.now() % 2 ** 31);
const RUNS = Number(process.env['USERTRACE_RUNS'] ?? 300);

/** Halves of a counter as they stand in a slot. */
function halves(counter: bigint): [number, number] {
  return [Number(BigInt.asIntN(32, counter)), Number(BigInt.asIntN(32, counter >> 32n))];
}

describe('CounterClock', () => {
  it(`never goes back, and is near the clock that drifts (USERTRACE_SEED=${SEED})`, () => {
    const step = fc.record({
      cycles: fc.bigInt(1n, 3_000_000_000n),
      ratePpm: fc.integer({ min: -500, max: 500 }),
    });
    const start = fc.bigInt(0n, 2n ** 63n);
    fc.assert(
      fc.property(start, fc.array(step, { minLength: 2, maxLength: 60 }), (first, steps) => {
        let counter = first;
        let timeNs = 1_000_000n;
        const clock = new CounterClock(() => ({ counter, timeNs }));
        let last = 0n;
        for (const { cycles, ratePpm } of steps) {
          const [before, beforeNs] = [counter, timeNs];
          counter += cycles;
          // 3 GHz, and corrected by so much.
          timeNs += (cycles * BigInt(1_000_000 + ratePpm)) / 3_000_000n;
          clock.advance();
          for (const part of [0n, 1n, 2n, 3n, 4n]) {
            const passed = (cycles * part) / 4n;
            const told = clock.timeOf(clock.valueOf(...halves(before + passed)));
            const exact = beforeNs + ((timeNs - beforeNs) * passed) / cycles;
            expect(told >= last).toBe(true);
            expect(told - exact <= 1n && exact - told <= 1n).toBe(true);
            last = told;
          }
        }
      }),
      { seed: SEED, numRuns: RUNS },
    );
  });

  it('tells no time outside of what it has seen, whatever the counter is said to have been', () => {
    let counter = 2n ** 40n;
    let timeNs = 500n;
    const clock = new CounterClock(() => ({ counter, timeNs }));
    counter += 3_000n;
    timeNs += 1_000n;
    clock.advance();
    for (const value of [0n, 2n ** 64n - 1n, 2n ** 63n, 2n ** 40n - 1n, 2n ** 41n]) {
      const told = clock.timeOf(clock.valueOf(...halves(value)));
      expect([500n, 1_500n]).toContain(told);
    }
    expect(clock.timeOf(Number.NaN)).toBe(500n);
  });

  it('begins anew when the counter does', () => {
    let counter = 2n ** 40n;
    let timeNs = 500n;
    const clock = new CounterClock(() => ({ counter, timeNs }));
    counter = 10n;
    timeNs = 9_000n;
    clock.advance();
    counter = 20n;
    timeNs = 9_100n;
    clock.advance();
    expect(clock.timeOf(clock.valueOf(...halves(15n)))).toBe(9_050n);
  });

  it('agrees with this machine’s clock', () => {
    const clock = new CounterClock();
    const before = process.hrtime.bigint();
    const value = clock.advance();
    const after = process.hrtime.bigint();
    expect(clock.timeOf(value)).toBeGreaterThanOrEqual(before);
    expect(clock.timeOf(value)).toBeLessThanOrEqual(after);
  });
});
