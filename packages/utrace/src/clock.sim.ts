/** Time of the simulation. */
import type { Clock, Deferred } from './port.ts';

/** Time that passes when told. */
export class SimClock implements Clock {
  #nowMs = 0;
  readonly #waiting = new Set<{ dueMs: number; work: () => void }>();

  after(delayMs: number, work: () => void): Deferred {
    const waiting = { dueMs: this.#nowMs + delayMs, work };
    this.#waiting.add(waiting);
    return { cancel: () => this.#waiting.delete(waiting) };
  }

  pass(durationMs: number): void {
    this.#nowMs += durationMs;
    for (const waiting of this.#waiting) {
      if (waiting.dueMs > this.#nowMs) continue;
      this.#waiting.delete(waiting);
      waiting.work();
    }
  }

  get waitingCount(): number {
    return this.#waiting.size;
  }
}
