/**
 * An event that programs registered.
 *
 * It is held by references: one for each open file that registered it, each enabler, each attached tracer,
 * and one of its own if it is persistent. When the last is released, its {@link EventHome} hears of it.
 * What the event is (name, fields, id) never changes; who listens and who is told does.
 */

import {
  type EventField,
  fieldsText,
  isPayloadValid,
  minimumPayload,
  type Validator,
  validatorsOf,
} from '@usertrace/abi';
import { assert, type Tid, type Uid } from '@usertrace/base';
import type { Enabler } from './enabler.ts';
import type { EventTracer } from './ports.ts';

/** Where an event is registered. */
export interface EventHome {
  /** The last reference to an event was released. */
  lastReferenceReleased(event: UserEvent): void;
}

/** What an event is made of. */
export interface EventIdentity {
  readonly home: EventHome;
  readonly id: number;
  /** The name programs registered it under. */
  readonly registeredName: string;
  /** For a multi-format event, what tells it from others of its name. */
  readonly formatId: number | undefined;
  readonly fields: readonly EventField[];
  readonly isPersistent: boolean;
  /** Who made it. */
  readonly uid: Uid;
}

const NO_TRACERS: readonly EventTracer[] = [];
const NO_VALIDATORS: readonly Validator[] = [];

/** A user event. */
export class UserEvent {
  /** The name in the tree: the registered one, or `name.<hex>` for a multi-format event. */
  readonly name: string;
  readonly registeredName: string;
  readonly isMultiFormat: boolean;
  readonly isPersistent: boolean;
  /** What records of it carry as common_type. */
  readonly id: number;
  readonly fields: readonly EventField[];
  /** The fields as one line, as `dynamic_events` lists them. */
  readonly fieldsText: string;
  /** The fewest bytes a write needs behind its index. */
  readonly minSize: number;
  readonly uid: Uid;

  readonly #home: EventHome;
  readonly #validators: readonly Validator[];
  #references: number;
  #tracers: readonly EventTracer[] = NO_TRACERS;
  #pastTracers: Set<EventTracer> | undefined;
  readonly #enablers = new Set<Enabler>();
  /** Enablers whose word is being written or waits for it. */
  #pendingWords = 0;
  #awaitingSettled: (() => void)[] | undefined;

  constructor(identity: EventIdentity) {
    const { formatId, registeredName } = identity;
    this.name = formatId === undefined ? registeredName : `${registeredName}.${formatId.toString(16)}`;
    this.registeredName = registeredName;
    this.isMultiFormat = formatId !== undefined;
    this.isPersistent = identity.isPersistent;
    this.id = identity.id;
    this.fields = identity.fields;
    this.fieldsText = fieldsText(identity.fields);
    this.minSize = minimumPayload(identity.fields);
    this.uid = identity.uid;
    this.#home = identity.home;
    const validators = validatorsOf(identity.fields);
    this.#validators = validators.length === 0 ? NO_VALIDATORS : validators;
    this.#references = identity.isPersistent ? 1 : 0;
  }

  /** The folder below `events/` it is listed in. */
  get system(): 'user_events' | 'user_events_multi' {
    return this.isMultiFormat ? 'user_events_multi' : 'user_events';
  }

  /** Whether anybody listens. */
  get isEnabled(): boolean {
    return this.#tracers.length > 0;
  }

  /** Whether nothing but a persistent event's own reference is left, so that it may be deleted by name. */
  get isUnreferenced(): boolean {
    return this.#references === (this.isPersistent ? 1 : 0);
  }

  /** Takes a reference. */
  acquire(): void {
    this.#references++;
  }

  /** Releases a reference, which somebody took. */
  release(): void {
    if (this.releaseIsLast()) this.#home.lastReferenceReleased(this);
  }

  /**
   * Releases a reference without telling anybody.
   *
   * @returns whether it was the last
   */
  releaseIsLast(): boolean {
    assert(this.#references > (this.isPersistent ? 1 : 0), `event "${this.name}" was referred to`);
    this.#references--;
    return this.#references === 0;
  }

  /**
   * Lets a tracer listen: takes a reference, and has every registered word written.
   *
   * @param tracer who does not listen yet
   */
  attach(tracer: EventTracer): void {
    assert(!this.#tracers.includes(tracer), `a tracer attaches once to event "${this.name}"`);
    this.acquire();
    this.#tracers = [...this.#tracers, tracer];
    this.#pastTracers ??= new Set();
    this.#pastTracers.add(tracer);
    this.#updateWords();
  }

  /**
   * Lets a tracer listen no longer: has every registered word written, and releases the reference.
   *
   * @param tracer who listens
   */
  detach(tracer: EventTracer): void {
    assert(this.#tracers.includes(tracer), `a tracer was attached to event "${this.name}"`);
    this.#tracers = this.#tracers.filter((attached) => attached !== tracer);
    this.#updateWords();
    this.release();
  }

  /** Whether a tracer listens, or once did: when the event is removed its buffer is to be cleared. */
  wasTracedBy(tracer: EventTracer): boolean {
    return this.#pastTracers?.has(tracer) ?? false;
  }

  /**
   * Waits for the words.
   *
   * @param callback called, maybe at once, when every registered word has the present state, could not be
   *   written, or is late
   */
  settled(callback: () => void): void {
    if (this.#pendingWords === 0) callback();
    else (this.#awaitingSettled ??= []).push(callback);
  }

  /**
   * Hands a write to everybody who listens, unless it is not as the fields say.
   *
   * @param pid the writer's thread id
   * @param bytes the write: four bytes of index and the payload
   * @returns what the write answers
   */
  write(pid: Tid, bytes: Uint8Array): number | 'EINVAL' | 'EBADF' | 'EFAULT' {
    const length = bytes.length - 4;
    if (length < this.minSize) return 'EINVAL';
    const tracers = this.#tracers;
    if (tracers.length === 0) return 'EBADF';
    let isValid: boolean | undefined;
    for (const tracer of tracers) {
      if (!tracer.accepts(this, length)) continue;
      isValid ??= isPayloadValid(this.#validators, bytes, 4, this.id, pid);
      if (!isValid) return 'EFAULT';
      tracer.record(this, pid, bytes.subarray(4));
    }
    return bytes.length;
  }

  /** An enabler tells its program about this event from now on; it holds a reference. */
  addEnabler(enabler: Enabler): void {
    this.acquire();
    this.#enablers.add(enabler);
  }

  /** Takes an enabler off and releases its reference. */
  removeEnabler(enabler: Enabler): void {
    const wasThere = this.#enablers.delete(enabler);
    assert(wasThere, `an enabler belongs to event "${this.name}"`);
    this.release();
  }

  /** A word is going to be written. */
  wordPending(): void {
    this.#pendingWords++;
  }

  /** A word was written, could not be, or takes too long. */
  wordSettled(): void {
    this.#pendingWords--;
    assert(this.#pendingWords >= 0, `a word of event "${this.name}" was pending`);
    if (this.#pendingWords > 0 || this.#awaitingSettled === undefined) return;
    const callbacks = this.#awaitingSettled;
    this.#awaitingSettled = undefined;
    for (const callback of callbacks) callback();
  }

  #updateWords(): void {
    for (const enabler of this.#enablers) enabler.eventSwitched();
  }
}
