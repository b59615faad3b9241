/** The numbers that records carry as `common_type`: unique among the events that exist. */

import { EVENT_ID_MAX } from '@usertrace/abi';
import { assert } from '@usertrace/base';

/** Lower numbers belong to the tracefs tree's own events. */
const FIRST_ID = 2000;

/** The most events that can exist at a time. */
export const EVENT_ID_COUNT: number = EVENT_ID_MAX - FIRST_ID + 1;

/** Gives out ids; one that was given back is reused as late as possible, for old records still carry it. */
export class EventIds {
  #unused = FIRST_ID;
  readonly #returned: number[] = [];

  /** An id that no event has. */
  take(): number {
    if (this.#unused <= EVENT_ID_MAX) return this.#unused++;
    const id = this.#returned.shift();
    assert(id !== undefined, 'the bound on events leaves an id');
    return id;
  }

  /** Takes back the id of an event that does not exist any more. */
  giveBack(id: number): void {
    this.#returned.push(id);
  }
}
