/**
 * What an instance does when an event comes (`events/SYSTEM/EVENT/trigger`, Documentation/trace/events.rst): switches its tracing, or
 * another of its events, on or off. An instance holds one InstanceTriggers. A trigger has its event, and the one that it switches,
 * attached also while they are off: they are told of and not recorded.
 */

import type { EventFilter, FilteredRecord } from '@usertrace/abi';
import type { ErrnoName } from '@usertrace/base';
import type { InstanceEvents } from './instance-events.ts';
import type { TracedEvent } from './traced-event.ts';

/** The most triggers of one event: each looks at each of its records. */
const TRIGGERS_MAX = 64;

/** What triggers act on. */
interface TriggeredInstance {
  isTracingOn: boolean;
  readonly events: InstanceEvents;
}

/** What a trigger switches, tracing as a whole or an event, and to what. */
export interface TriggerAction {
  readonly target: 'tracing' | TracedEvent;
  readonly isOn: boolean;
}

/** A trigger that was asked for. */
export interface TriggerRequest extends TriggerAction {
  /** How often it may switch something; undefined for always. */
  readonly count: bigint | undefined;
  /** Of which records; undefined for all. */
  readonly filter: EventFilter | undefined;
}

interface Trigger extends TriggerRequest {
  count: bigint | undefined;
}

export class InstanceTriggers {
  readonly #instance: TriggeredInstance;
  /** Of each event that has some, the newest first. */
  readonly #byEvent = new Map<TracedEvent, Trigger[]>();

  constructor(instance: TriggeredInstance) {
    this.#instance = instance;
  }

  has(event: TracedEvent): boolean {
    return this.#byEvent.has(event);
  }

  /** An event's triggers as its file shows them, a line each. */
  lines(event: TracedEvent): string[] {
    return (this.#byEvent.get(event) ?? []).map(
      ({ target, isOn, count, filter }) =>
        `${nameOf({ target, isOn })}:${count === undefined ? 'unlimited' : `count=${count}`}${filter === undefined ? '' : ` if ${filter.text}`}\n`,
    );
  }

  /** @returns EEXIST when the event has a trigger for that already, whatever it switches it to */
  add(event: TracedEvent, request: TriggerRequest): ErrnoName | undefined {
    const triggers = this.#byEvent.get(event) ?? [];
    if (triggers.some(({ target }) => target === request.target)) return 'EEXIST';
    if (triggers.length >= TRIGGERS_MAX) return 'ENOMEM';
    this.#byEvent.set(event, [{ ...request }, ...triggers]);
    this.#instance.events.hold(event);
    if (request.target !== 'tracing') this.#instance.events.hold(request.target);
    return undefined;
  }

  /** Takes away an event's trigger for something, if it has one. */
  remove(event: TracedEvent, target: TriggerAction['target']): void {
    const triggers = this.#byEvent.get(event) ?? [];
    const others = triggers.filter((trigger) => trigger.target !== target);
    if (others.length === triggers.length) return;
    if (others.length > 0) this.#byEvent.set(event, others);
    else this.#byEvent.delete(event);
    this.#instance.events.release(event);
    if (target !== 'tracing') this.#instance.events.release(target);
  }

  /** An event is gone: so are its triggers and those that switch it. */
  forget(event: TracedEvent): void {
    for (const [owner, triggers] of this.#byEvent)
      for (const { target } of triggers) if (owner === event || target === event) this.remove(owner, target);
  }

  /** Takes away all. */
  clear(): void {
    for (const event of this.#byEvent.keys()) this.forget(event);
  }

  /**
   * A record of an event came. As in the kernel, events are switched before it is recorded, tracing is switched off behind it,
   * and switched on before it unless a filter had to be asked.
   *
   * @param record is called only if there is a filter to be asked
   */
  fire(when: 'before' | 'behind', event: TracedEvent, record: () => FilteredRecord): void {
    for (const trigger of this.#byEvent.get(event) ?? []) {
      const isBefore = trigger.target !== 'tracing' || (trigger.isOn && trigger.filter === undefined);
      if (isBefore !== (when === 'before') || trigger.count === 0n) continue;
      if (trigger.filter?.matches(record()) === false) continue;
      if (this.#act(trigger) && trigger.count !== undefined) trigger.count -= 1n;
    }
  }

  /** @returns whether that changed something: else it does not count */
  #act({ target, isOn }: TriggerAction): boolean {
    if (target === 'tracing') {
      if (this.#instance.isTracingOn === isOn) return false;
      this.#instance.isTracingOn = isOn;
    } else {
      if (this.#instance.events.enabled.has(target) === isOn) return false;
      this.#instance.events.setEnabled(target, isOn);
    }
    return true;
  }
}

function nameOf({ target, isOn }: TriggerAction): string {
  if (target === 'tracing') return isOn ? 'traceon' : 'traceoff';
  return `${isOn ? 'enable_event' : 'disable_event'}:${target.system}:${target.name}`;
}
