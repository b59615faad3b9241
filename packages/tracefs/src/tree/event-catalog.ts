/**
 * Which events there are, by system, name and id, and in which order each instance lists them. The tree holds one
 * EventCatalog, which is told of every event that comes and goes.
 *
 * A system exists while it has an event. Within a system, events are in the order they were made.
 */

import { assert } from '@usertrace/base';
import type { TraceInstance } from '../instance.ts';
import type { TracedEvent } from '../traced-event.ts';

export class EventCatalog {
  readonly #eventsBySystem = new Map<string, Map<string, TracedEvent>>();
  readonly #eventById = new Map<number, TracedEvent>();
  /** Every event, oldest first, with its number in the order of all events ever made. */
  readonly #sequenceByEvent = new Map<TracedEvent, number>();
  #madeCount = 0;

  /** What the event made next will have as sequence. */
  get sequenceToCome(): number {
    return this.#madeCount;
  }

  add(event: TracedEvent): void {
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

  remove(event: TracedEvent): void {
    const events = this.#eventsBySystem.get(event.system);
    if (events?.get(event.name) === event) events.delete(event.name);
    if (events?.size === 0) this.#eventsBySystem.delete(event.system);
    this.#eventById.delete(event.id);
    this.#sequenceByEvent.delete(event);
  }

  has(event: TracedEvent): boolean {
    return this.#sequenceByEvent.has(event);
  }

  byId(id: number): TracedEvent | undefined {
    return this.#eventById.get(id);
  }

  systems(): Iterable<string> {
    return this.#eventsBySystem.keys();
  }

  /** The events of a system by name, oldest first; undefined while it has none. */
  inSystem(system: string): ReadonlyMap<string, TracedEvent> | undefined {
    return this.#eventsBySystem.get(system);
  }

  /** Every event, oldest first. */
  all(): Iterable<TracedEvent> {
    return this.#sequenceByEvent.keys();
  }

  /**
   * Every event as an instance lists them. As in the kernel each event that is made goes to the front; those
   * that were there before the instance were put there newest first, and so come out oldest first.
   */
  listedBy(instance: TraceInstance): TracedEvent[] {
    const before: TracedEvent[] = [];
    const since: TracedEvent[] = [];
    for (const [event, sequence] of this.#sequenceByEvent) {
      (sequence < instance.firstNewSequence ? before : since).push(event);
    }
    return since.toReversed().concat(before);
  }
}
