/**
 * Work that would hold the serving thread for long, done in steps: one step of one piece of work, then whatever else
 * the server has to do, then a step of the next piece of work. InstanceSet makes one Turns for all files of a tree, so
 * that however many of them have such work, a request waits for one step.
 */

import type { DeferredWork } from '@usertrace/user-events';

/** One step, of a few milliseconds at most. Answers whether there is more to do. */
export type Step = () => boolean;

export class Turns {
  readonly #deferred: DeferredWork;
  /** Who has work left, in the order of their turns: one for an open file at most. */
  readonly #steps = new Set<Step>();
  #isDue = false;

  constructor(deferred: DeferredWork) {
    this.#deferred = deferred;
  }

  /** Does steps later, until there is no more to do. Adding one that is there already changes nothing. */
  add(step: Step): void {
    this.#steps.add(step);
    this.#stepLater();
  }

  /** Does no more steps of this work. */
  withdraw(step: Step): void {
    this.#steps.delete(step);
  }

  #stepLater(): void {
    if (this.#isDue || this.#steps.size === 0) return;
    this.#isDue = true;
    this.#deferred.defer(() => {
      this.#isDue = false;
      const [step] = this.#steps;
      if (step === undefined) return;
      this.#steps.delete(step);
      if (step()) this.#steps.add(step);
      this.#stepLater();
    });
  }
}
