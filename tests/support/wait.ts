/**
 * Waiting for a state of the world, with a limit, instead of sleeping for a while and hoping.
 */

const TIMEOUT_MS = 60_000;
const INTERVAL_MS = 10;

/**
 * Waits until something is so.
 *
 * @param what the state, for the error's text
 * @param isSo asked again and again until it answers true
 * @throws {Error} when it is not so in time
 */
export async function until(
  what: string,
  isSo: () => boolean | Promise<boolean>,
  timeoutMs: number = TIMEOUT_MS,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await isSo())) {
    if (performance.now() > deadline)
      throw new Error(`Cannot wait longer than ${timeoutMs} ms until ${what}`);
    await delay(INTERVAL_MS);
  }
}

/** Resolves after that many milliseconds. */
export function delay(durationMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, durationMs));
}
