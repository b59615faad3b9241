/**
 * Which records of its events an instance keeps (`events/SYSTEM/EVENT/filter`, Documentation/trace/events.rst). An instance holds one
 * InstanceFilters; an event that is gone is forgotten there.
 */

import { EventFilter, type FilteredRecord, FilterRefusal } from '@usertrace/abi';
import { filterFieldsOf, type TracedEvent } from './traced-event.ts';

/** What the file of an event without a filter shows. */
const NONE_TEXT = 'none\n';
/** What the kernel says of each event of a system that cannot have the system's filter, whatever the reason. */
const SYSTEM_REFUSAL = "Couldn't find or set field in one of a subsystem's events";

/** An error for `error_log`. */
export interface FilterError {
  readonly text: string;
  /** The filter, and the character of it where it goes wrong. */
  readonly filter: string;
  readonly position: number;
}

export class InstanceFilters {
  readonly #cpuCount: number;
  readonly #filterByEvent = new Map<TracedEvent, EventFilter>();
  /** What the files of events show whose last filter was refused: these keep all records. */
  readonly #refusedByEvent = new Map<TracedEvent, string>();

  /** @param cpuCount of the machine */
  constructor(cpuCount: number) {
    this.#cpuCount = cpuCount;
  }

  /** Whether a record is kept. `record` is called only if the event has a filter. */
  lets(event: TracedEvent, record: () => FilteredRecord): boolean {
    if (this.#filterByEvent.size === 0) return true;
    return this.#filterByEvent.get(event)?.matches(record()) ?? true;
  }

  /** What an event's file shows. */
  text(event: TracedEvent): string {
    const filter = this.#filterByEvent.get(event);
    return filter === undefined ? (this.#refusedByEvent.get(event) ?? NONE_TEXT) : `${filter.text}\n`;
  }

  /**
   * Sets an event's filter, or takes it away (`0`). If the new one is refused the event has none, as in the kernel.
   *
   * @param text one character a byte
   * @throws {FilterRefusal} what is wrong with it
   */
  set(event: TracedEvent, text: string): void {
    this.forget(event);
    try {
      const filter = EventFilter.parse(text, filterFieldsOf(event), this.#cpuCount);
      if (filter !== undefined) this.#filterByEvent.set(event, filter);
    } catch (error) {
      if (error instanceof FilterRefusal) this.#refusedByEvent.set(event, error.fileText);
      throw error;
    }
  }

  /**
   * Sets the filter of all events of a system, or takes it away (`0`). Events that cannot have it have none.
   *
   * @param text one character a byte
   * @returns an error for each of these
   */
  setAll(events: Iterable<TracedEvent>, text: string): FilterError[] {
    const filter = text.replace(/\s+$/u, '');
    const errors: FilterError[] = [];
    for (const event of events) {
      try {
        this.set(event, text);
      } catch (error) {
        if (!(error instanceof FilterRefusal)) throw error;
        this.#refusedByEvent.set(event, `${filter}\n^\nparse_error: ${SYSTEM_REFUSAL}\n\n`);
        errors.push({ text: SYSTEM_REFUSAL, filter, position: 0 });
      }
    }
    return errors;
  }

  /** An event is gone, or is to keep all records. */
  forget(event: TracedEvent): void {
    this.#filterByEvent.delete(event);
    this.#refusedByEvent.delete(event);
  }
}
