/** `Refusals`: the processes that cannot be probed, and why. After a while each is tried again. */

/** How long a process is left alone that could not be traced, in milliseconds. */
const RETRY_INTERVAL_MS = 2_000;

export class Refusals {
  readonly #byPid = new Map<number, { readonly reason: string; readonly untilMs: number }>();

  /** A process cannot be probed. */
  add(pid: number, reason: string): void {
    this.#byPid.set(pid, { reason, untilMs: performance.now() + RETRY_INTERVAL_MS });
  }

  has(pid: number): boolean {
    return this.#byPid.has(pid);
  }

  /** @returns undefined for a process that can be tried */
  reason(pid: number): string | undefined {
    return this.#byPid.get(pid)?.reason;
  }

  /** The processes, as `[pid, reason]`. */
  get all(): readonly (readonly [number, string])[] {
    return [...this.#byPid].map(([pid, { reason }]) => [pid, reason]);
  }

  /**
   * Forgets those that can be tried again, and those that have ended.
   *
   * @param isThere whether there is a process of that number
   */
  expire(isThere: (pid: number) => boolean): void {
    const now = performance.now();
    for (const [pid, { untilMs }] of this.#byPid) if (now > untilMs || !isThere(pid)) this.#byPid.delete(pid);
  }
}
