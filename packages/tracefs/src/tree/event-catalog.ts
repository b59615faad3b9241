/**
 * Which events there are, by system, name and id, and in which order each instance lists them. The tree holds one
 * EventCatalog, which the domain tells of every event that comes and goes.
 *
 * A system exists while it has an event. Within a system, events are in the order they were made.
 */

import { assert } from '@usertrace/base';
import type { UserEvent } from '@usertrace/user-events';
import type { TraceInstance } from '../instance.ts';

/** The name of a directory below `events` that holds user events. */
export type SystemName = UserEvent['system'];

export class EventCatalog {
  readonly #eventsBySystem = new Map<SystemName, Map<string, UserEvent>>();
  readonly #eventById = new Map<number, UserEvent>();
  /** Every event, oldest first, with its number in the order of all events ever made. */
  readonly #sequenceByEvent = new Map<UserEvent, number>();
  #madeCount = 0;

  /** What the event made next will have as sequence. */
  get sequenceToCome(): number {
    return this.#madeCount;
  }

  add(event: UserEvent): void {
    assert(!this.#eventById.has(event.id), 'an event id is unique');
    let events = this.#eventsBySystem.get(event.system);
    if (events === undefined) {
      events = new Map();
      this.#eventsBySystem.set(event.system, events);
    }
    events.set(event.name, event);
    this.#eventById.set(event.id, event);
    this.#sequenceByEvent.set(event, this.#madeCount++);
  }

  remove(event: UserEvent): void {
    const events = this.#eventsBySystem.get(event.system);
    if (events?.get(event.name) === event) events.delete(event.name);
    if (events?.size === 0) this.#eventsBySystem.delete(event.system);
    this.#eventById.delete(event.id);
    this.#sequenceByEvent.delete(event);
  }

  has(event: UserEvent): boolean {
    return this.#sequenceByEvent.has(event);
  }

  byId(id: number): UserEvent | undefined {
    return this.#eventById.get(id);
  }

  systems(): Iterable<SystemName> {
    return this.#eventsBySystem.keys();
  }

  /** The events of a system by name, oldest first; undefined while it has none. */
  inSystem(system: string): ReadonlyMap<string, UserEvent> | undefined {
    return this.#eventsBySystem.get(system as SystemName);
  }

  /** Every event, oldest first. */
  all(): Iterable<UserEvent> {
    return this.#sequenceByEvent.keys();
  }

  /**
   * Every event as an instance lists them. As in the kernel each event that is made goes to the front; those
   * that were there before the instance were put there newest first, and so come out oldest first.
   */
  listedBy(instance: TraceInstance): UserEvent[] {
    const before: UserEvent[] = [];
    const since: UserEvent[] = [];
    for (const [event, sequence] of this.#sequenceByEvent) {
      (sequence < instance.firstNewSequence ? before : since).push(event);
    }
    return since.toReversed().concat(before);
  }
}
