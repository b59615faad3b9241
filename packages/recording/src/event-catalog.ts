/**
 * `EventCatalog`: the ids that events of many providers have in one output. Events of the same name and fields are
 * one. A provider's own id is kept where it is free, which it is when all run the same program: then no page has to
 * be changed.
 */
import {
  EVENT_ID_MAX,
  fieldsText,
  formatFileText,
  PROVIDER_FIRST_EVENT_ID,
  type ProviderEvent,
} from '@usertrace/abi';

export class EventCatalog {
  readonly #idByDeclaration = new Map<string, number>();
  readonly #usedIds = new Set<number>();
  readonly #declare: (name: string, formatText: string) => void;
  #lastTried = PROVIDER_FIRST_EVENT_ID - 1;

  /** @param declare is given the format file's text of each event that is new */
  constructor(declare: (name: string, formatText: string) => void) {
    this.#declare = declare;
  }

  /**
   * The id of an event in the output.
   *
   * @param event of any provider
   * @returns undefined when all ids are taken
   */
  readonly idOf = (event: ProviderEvent): number | undefined => {
    const declaration = `${event.name} ${fieldsText(event.fields)}`;
    const known = this.#idByDeclaration.get(declaration);
    if (known !== undefined) return known;
    const id = this.#usedIds.has(event.id) ? this.#freeId() : event.id;
    if (id === undefined) return undefined;
    this.#idByDeclaration.set(declaration, id);
    this.#usedIds.add(id);
    this.#declare(event.name, formatFileText(event.name, id, event.fields));
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
