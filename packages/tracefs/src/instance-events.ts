/**
 * Which events an instance records, and which its triggers need. An event is attached while it is on or held, and only then are programs
 * told to write it. An instance holds one InstanceEvents.
 */

import { assert } from '@usertrace/base';
import type { TraceInstance } from './instance.ts';
import type { TracedEvent } from './traced-event.ts';

export class InstanceEvents {
  readonly #instance: TraceInstance;
  readonly #enabled = new Set<TracedEvent>();
  /** Events that triggers hold, with how many. */
  readonly #heldCounts = new Map<TracedEvent, number>();

  constructor(instance: TraceInstance) {
    this.#instance = instance;
  }

  /** The events that are on. */
  get enabled(): ReadonlySet<TracedEvent> {
    return this.#enabled;
  }

  /** Switches an event on or off. The caller waits for its settled() if it wants to. */
  setEnabled(event: TracedEvent, isOn: boolean): void {
    if (this.#enabled.has(event) === isOn) return;
    if (isOn) this.#enabled.add(event);
    else this.#enabled.delete(event);
    if (this.isHeld(event)) return;
    if (isOn) event.attach(this.#instance);
    else event.detach(this.#instance);
  }

  disableAll(): void {
    for (const event of this.#enabled) this.setEnabled(event, false);
  }

  /** Whether programs are told to write an event: it is on, or a trigger needs it. */
  isAttached(event: TracedEvent): boolean {
    return this.#enabled.has(event) || this.isHeld(event);
  }

  /** Whether triggers have an event attached, on or off. */
  isHeld(event: TracedEvent): boolean {
    return this.#heldCounts.has(event);
  }

  /** Has an event attached for a trigger. */
  hold(event: TracedEvent): void {
    const count = this.#heldCounts.get(event) ?? 0;
    this.#heldCounts.set(event, count + 1);
    if (count === 0 && !this.#enabled.has(event)) event.attach(this.#instance);
  }

  /** A trigger that held an event is gone. */
  release(event: TracedEvent): void {
    const count = (this.#heldCounts.get(event) ?? 0) - 1;
    assert(count >= 0, `a trigger held event "${event.name}"`);
    if (count > 0) this.#heldCounts.set(event, count);
    else this.#heldCounts.delete(event);
    if (count === 0 && !this.#enabled.has(event)) event.detach(this.#instance);
  }
}
