/**
 * `EventCatalog`: the ids that events of many providers have in one output. Events that are
 * declared alike are one. A provider's own id is kept where it is free, which it is when all run the same program: then no page has to
 * be changed.
 */
import {
  EVENT_ID_MAX,
  eventIdentity,
  PROVIDER_FIRST_EVENT_ID,
  type ProviderEvent,
  providerEventFormat,
} from '@usertrace/abi';
import type { EventFormatText } from '@usertrace/formats';

export class EventCatalog {
  readonly #idByIdentity = new Map<string, number>();
  readonly #usedIds = new Set<number>();
  readonly #declare: (format: EventFormatText) => void;
  #lastTried = PROVIDER_FIRST_EVENT_ID - 1;

  /** @param declare is given the format of each event that is new */
  constructor(declare: (format: EventFormatText) => void) {
    this.#declare = declare;
  }

  /**
   * The id of an event in the output.
   *
   * @param event of any provider
   * @returns undefined when all ids are taken
   */
  readonly idOf = (event: ProviderEvent): number | undefined => {
    const identity = eventIdentity(event);
    const known = this.#idByIdentity.get(identity);
    if (known !== undefined) return known;
    const id = this.#usedIds.has(event.id) ? this.#freeId() : event.id;
    if (id === undefined) return undefined;
    this.#idByIdentity.set(identity, id);
    this.#usedIds.add(id);
    this.#declare({ system: event.system, text: providerEventFormat(event, id) });
    return id;
  };

  #freeId(): number | undefined {
    while (this.#lastTried < EVENT_ID_MAX) {
      this.#lastTried += 1;
      if (!this.#usedIds.has(this.#lastTried)) return this.#lastTried;
    }
    return undefined;
  }
}
