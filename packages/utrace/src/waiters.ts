/** Callers that wait for something to change: its owner holds them, and wakes all of them at once. */
export class Waiters {
  #waiting: (() => void)[] = [];

  /** Resolves at the following `wake`. Whoever waits looks then whether it is as wanted. */
  untilWoken(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}
