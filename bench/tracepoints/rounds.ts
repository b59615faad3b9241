/**
 * Timing a loop in rounds: how many iterations a round has, and how long one of them takes.
 */

/** Long enough that the clock and one interrupt do not matter. */
const ROUND_MS = 100;
const WARM_ROUNDS = 3;
const FIRST_COUNT = 1_000;
const COUNT_MAX = 2 ** 30;

/** A loop of that many iterations. */
export type Loop = (count: number) => unknown;

/** Nanoseconds of one iteration, on average over `count`. */
export function roundNs(loop: Loop, count: number): number {
  const startedAt = process.hrtime.bigint();
  loop(count);
  return Number(process.hrtime.bigint() - startedAt) / count;
}

/**
 * Runs a loop until V8 has compiled it for good, at the length that it is going to be measured at.
 *
 * @returns iterations of a round of ROUND_MS or somewhat more
 */
export function warmUp(loop: Loop): number {
  for (let count = FIRST_COUNT; ; count *= 2) {
    const rounds = Array.from({ length: WARM_ROUNDS }, () => roundNs(loop, count));
    // The fastest, since something else may have had the processor in the others.
    if (Math.min(...rounds) * count >= ROUND_MS * 1e6 || count >= COUNT_MAX) return count;
  }
}
