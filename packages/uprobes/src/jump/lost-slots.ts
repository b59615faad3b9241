/** Slots that wait for a thread which has left its trampoline, or has ended: they would stop their lanes at last, and so are passed. */

import type { Utrace } from '@usertrace/utrace';
import type { JumpHits } from './jump-hits.ts';
import { slotsInUse } from './slots-in-use.ts';

/** Those of all lanes. */
export class LostSlots {
  readonly #utrace: Utrace;
  readonly #hits: JumpHits;
  readonly #failed: (reason: unknown) => void;
  #isPassing = false;

  /** @param failed told of what happened instead */
  constructor(utrace: Utrace, hits: JumpHits, failed: (reason: unknown) => void) {
    this.#utrace = utrace;
    this.#hits = hits;
    this.#failed = failed;
  }

  /** Passes those that no thread will publish; nothing if that is still being found out. */
  async pass(): Promise<void> {
    if (this.#isPassing) return;
    this.#isPassing = true;
    try {
      for (const held of this.#hits.heldUp()) held.pass(await slotsInUse(this.#utrace, held));
    } catch (error) {
      this.#failed(error);
    } finally {
      this.#isPassing = false;
    }
  }
}
