/** The tasks whose making was told of or noticed lately, for the case that later events are lost. */
import type { Tid } from '@usertrace/base';

/**
 * More tasks than are made in two ticks (20 ms), which is as exactly as start times tell what came after what; and so
 * few that no id is given out twice while it is here.
 */
const MAX_TOLD_TASKS = 8192;

/** A set of ids; when it is full the oldest goes. Those in it that inherited something are known. */
export class ToldTasks {
  readonly #tids = new Set<Tid>();

  has(tid: Tid): boolean {
    return this.#tids.has(tid);
  }

  add(tid: Tid): void {
    this.#tids.add(tid);
    if (this.#tids.size <= MAX_TOLD_TASKS) return;
    for (const oldest of this.#tids) {
      this.#tids.delete(oldest);
      break;
    }
  }
}
