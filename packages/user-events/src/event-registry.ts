/**
 * The events that exist, by name: found, made, deleted, and destroyed when nothing refers to them.
 */

import {
  fieldWords,
  parseCommand,
  parseFields,
  splitWords,
  wordsMatchFields,
  type UnreadableText,
} from '@usertrace/abi';
import { assert, type ErrnoName } from '@usertrace/base';
import { EventIds } from './event-ids.ts';
import { type EventHome, UserEvent } from './event.ts';
import type { Accounts, Limits } from './limits.ts';
import type { DeferredWork, Observers, Requester } from './ports.ts';
import { UnzeroedLengths } from './unzeroed-length.ts';

/** What a registration asks for besides the command. */
export interface EventTraits {
  readonly persist: boolean;
  readonly multiFormat: boolean;
}

const SYSTEM = 'user_events';

/** All events. */
export class EventRegistry implements EventHome {
  observers: Observers = { added: () => {}, removed: () => {}, clearRequested: () => {} };
  readonly #deferred: DeferredWork;
  readonly #limits: Limits;
  readonly #accounts: Accounts;
  readonly #ids = new EventIds();
  readonly #lengths = new UnzeroedLengths();
  readonly #events = new Set<UserEvent>();
  /** By registered name, the oldest first. */
  readonly #byName = new Map<string, UserEvent[]>();
  #formatsMade = 0;

  constructor(deferred: DeferredWork, limits: Limits, accounts: Accounts) {
    this.#deferred = deferred;
    this.#limits = limits;
    this.#accounts = accounts;
  }

  /** The events, the oldest first. */
  get events(): ReadonlySet<UserEvent> {
    return this.#events;
  }

  /**
   * The event a command names, made if there is none.
   *
   * @returns the event, with a reference taken that the caller releases, or what registration answers
   */
  acquire(requester: Requester, command: string, traits: EventTraits): UserEvent | ErrnoName {
    const copy = this.#lengths.copyCommand(command);
    const before = this.#events.size;
    const event = this.#findOrCreate(requester, command, traits);
    if (this.#events.size === before) this.#lengths.freeCommand(copy);
    if (typeof event !== 'string') event.acquire();
    return event;
  }

  /** DEL: deletes all events registered under a name that nothing refers to; stops at the first that is. */
  delete(requester: Requester, name: string | UnreadableText): 'ok' | ErrnoName {
    if (typeof name !== 'string') return name.errno;
    return this.#deleteAll(requester, (this.#byName.get(name) ?? []).toReversed());
  }

  /**
   * A command of `dynamic_events` that removes events: `-:[SYSTEM/]EVENT [FIELDS]` or `!...:[SYSTEM/]EVENT`.
   */
  runRemoval(requester: Requester, command: string): 'ok' | ErrnoName {
    const [first = '', ...fields] = splitWords(command);
    const colon = first.indexOf(':');
    if (colon < 0 || (first.startsWith('-') && colon !== 1)) return 'EINVAL';
    const path = first.slice(colon + 1);
    if (path === '') return 'EINVAL';
    const slash = path.indexOf('/');
    const name = path.slice(slash + 1);
    const isOurs = slash < 0 || path.slice(0, slash) === SYSTEM;
    const named = isOurs ? (this.#byName.get(name) ?? []) : [];
    const matching = named.filter((event) => wordsMatchFields(fields, event.fieldsText));
    const answer = this.#deleteAll(requester, matching);
    this.observers.clearRequested();
    return answer;
  }

  /**
   * The last reference is gone. Whoever released it may be in the middle of something, so the event is
   * destroyed later; a reference is held until then, and the event stays if it was registered anew.
   */
  lastReferenceReleased(event: UserEvent): void {
    event.acquire();
    this.#deferred.defer(() => {
      if (event.releaseIsLast()) this.#destroy(event);
    });
  }

  #findOrCreate(requester: Requester, command: string, traits: EventTraits): UserEvent | ErrnoName {
    const parsed = parseCommand(command);
    if (parsed === 'EINVAL') return parsed;
    if (traits.persist && !requester.perfmonCapable()) return 'EPERM';
    this.#lengths.splitFields(parsed.fields);
    const existing = this.#find(parsed.name, fieldWords(parsed.fields), traits.multiFormat);
    return existing ?? this.#create(requester, parsed.name, parsed.fields, traits);
  }

  #find(name: string, words: readonly string[], multiFormat: boolean): UserEvent | 'EADDRINUSE' | undefined {
    const named = this.#byName.get(name) ?? [];
    for (let i = named.length - 1; i >= 0; i--) {
      const event = named[i] as UserEvent;
      if (event.isMultiFormat !== multiFormat) continue;
      if (wordsMatchFields(words, event.fieldsText)) return event;
      if (!multiFormat) return 'EADDRINUSE';
    }
    return undefined;
  }

  #create(requester: Requester, name: string, text: string, traits: EventTraits): UserEvent | ErrnoName {
    const formatId = traits.multiFormat ? this.#formatsMade++ : undefined;
    const fields = parseFields(text);
    if (typeof fields === 'string') return fields;
    const { uid } = requester;
    if (this.#events.size >= this.#limits.events) return 'EMFILE';
    if (!this.#accounts.charge(uid, 'eventsPerUser')) return 'EMFILE';
    const event = new UserEvent({
      home: this,
      id: this.#ids.take(),
      registeredName: name,
      formatId,
      fields: fields.map((field) => ({ ...field, shownLength: this.#lengths.take() })),
      isPersistent: traits.persist,
      uid,
    });
    this.#events.add(event);
    const named = this.#byName.get(name);
    if (named === undefined) this.#byName.set(name, [event]);
    else named.push(event);
    this.observers.added(event);
    return event;
  }

  #deleteAll(requester: Requester, events: readonly UserEvent[]): 'ok' | ErrnoName {
    for (const event of events) {
      // Without persistence an event is listed only while something refers to it.
      if (!event.isUnreferenced) return 'EBUSY';
      if (!requester.perfmonCapable()) return 'EPERM';
      this.#destroy(event);
    }
    return events.length === 0 ? 'ENOENT' : 'ok';
  }

  #destroy(event: UserEvent): void {
    assert(event.isUnreferenced && !event.isEnabled, `nothing refers to event "${event.name}"`);
    const named = this.#byName.get(event.registeredName) ?? [];
    const others = named.filter((other) => other !== event);
    if (others.length > 0) this.#byName.set(event.registeredName, others);
    else this.#byName.delete(event.registeredName);
    this.#events.delete(event);
    this.#accounts.refund(event.uid, 'eventsPerUser');
    this.#ids.giveBack(event.id);
    this.observers.removed(event);
  }
}
