/**
 * The places that are probed. A place is in force from its first consumer to its last; a consumer has one place, or as many as its
 * function has returns.
 */

import type { FileProbe } from '../table/table-layout.ts';
import type { Consumer } from './consumer.ts';
import type { CountedProbe } from './counters.ts';
import type { FileNumbers } from './file-numbers.ts';
import type { PlaceRole, WantedPlace } from './wanted-places.ts';

/** A place in a file with what it is to its consumers. */
export interface ProbedPlace extends FileProbe {
  readonly roles: ReadonlyMap<Consumer, PlaceRole>;
}

interface Place extends ProbedPlace {
  readonly key: string;
  readonly roles: Map<Consumer, PlaceRole>;
}

const NO_ROLES: ReadonlyMap<Consumer, PlaceRole> = new Map();

/** All places. */
export class ProbedPlaces {
  readonly #files: FileNumbers;
  readonly #byKey = new Map<string, Place>();
  readonly #byNumber = new Map<number, Place>();
  readonly #byConsumer = new Map<Consumer, Place[]>();
  #count = 0;

  constructor(files: FileNumbers) {
    this.#files = files;
  }

  /** Those in force. */
  get all(): readonly ProbedPlace[] {
    return [...this.#byKey.values()];
  }

  /** One for each instruction or function that is probed with a counter. */
  get counters(): readonly CountedProbe[] {
    const counted = new Map<string, CountedProbe>();
    for (const { definition } of this.#byConsumer.keys()) {
      const { fileIdentity: identity, offset, counterOffset } = definition;
      if (counterOffset !== 0n)
        counted.set(`${identity}+${offset} ${counterOffset}`, {
          identity,
          counterOffset: Number(counterOffset),
        });
    }
    return [...counted.values()];
  }

  /** Whether the returns of some function are followed from its entry. */
  get hasCalls(): boolean {
    return [...this.#byKey.values()].some(({ roles }) =>
      [...roles.values()].some(({ kind }) => kind === 'call'),
    );
  }

  add(consumer: Consumer, wanted: readonly WantedPlace[]): void {
    const { fileIdentity } = consumer.definition;
    const places = wanted.map(({ offset, role }) => {
      const place = this.#placeAt(fileIdentity, offset);
      place.roles.set(consumer, role);
      return place;
    });
    this.#byConsumer.set(consumer, places);
  }

  /** @returns whether something has to change in programs */
  remove(consumer: Consumer): boolean {
    const places = this.#byConsumer.get(consumer);
    if (places === undefined) return false;
    this.#byConsumer.delete(consumer);
    for (const place of places) {
      place.roles.delete(consumer);
      if (place.roles.size > 0) continue;
      this.#byKey.delete(place.key);
      this.#byNumber.delete(place.number);
    }
    return true;
  }

  clear(): void {
    for (const consumer of this.#byConsumer.keys()) this.remove(consumer);
  }

  /**
   * @param number as the table has it
   * @returns what the place is to its consumers; nothing when it is in force no more
   */
  rolesAt(number: number): ReadonlyMap<Consumer, PlaceRole> {
    return this.#byNumber.get(number)?.roles ?? NO_ROLES;
  }

  #placeAt(identity: string, offset: number): Place {
    const key = `${identity}+${offset}`;
    const known = this.#byKey.get(key);
    if (known !== undefined) return known;
    const place: Place = {
      key,
      file: this.#files.of(identity),
      offset,
      number: this.#count++,
      roles: new Map(),
    };
    this.#byKey.set(key, place);
    this.#byNumber.set(place.number, place);
    return place;
  }
}
