/**
 * user_events as a whole: what the kernel keeps for one event group.
 *
 * Owns the registry of events and the address spaces; hands out files. Everything happens on one thread, and
 * the outside world comes in through the ports.
 */

import { skipSpaces, splitWords } from '@usertrace/abi';
import { type Address, assert, type ErrnoName, type Tid, Uid } from '@usertrace/base';
import { AddressSpaces } from './address-spaces.ts';
import type { WordState } from './enabler.ts';
import { EVENT_ID_COUNT } from './event-ids.ts';
import { EventRegistry } from './event-registry.ts';
import type { UserEvent } from './event.ts';
import { type FileSurroundings, UserEventFile } from './file.ts';
import { Accounts, DEFAULT_LIMITS, type Limits } from './limits.ts';
import { nameBucket } from './name-hash.ts';
import type { DeferredWork, MemoryPort, Observers, Requester } from './ports.ts';

/** An enable bit that does not have its event's state, or not surely. */
export interface UnsettledWord {
  readonly event: UserEvent;
  /** The tasks that share the memory. */
  readonly tids: readonly Tid[];
  readonly address: Address;
  readonly bit: number;
  readonly outcome: Exclude<WordState, 'settled'>;
}

const CREATION_PREFIX = 'u:';

/** The user_events of one system. */
export class UserEvents {
  readonly #surroundings: FileSurroundings;

  /**
   * @param ports the outside world
   * @param limits bounds that differ from {@link DEFAULT_LIMITS}
   * @param owner the user whose system it is; others may have less
   */
  constructor(
    ports: { memory: MemoryPort; deferred: DeferredWork },
    limits: Partial<Limits> = {},
    owner: Uid = Uid(0),
  ) {
    const all = { ...DEFAULT_LIMITS, ...limits };
    assert(all.events <= EVENT_ID_COUNT, `at most ${EVENT_ID_COUNT} events have an id`);
    const accounts = new Accounts(all, owner);
    this.#surroundings = {
      limits: all,
      accounts,
      registry: new EventRegistry(ports.deferred, all, accounts),
      spaces: new AddressSpaces(ports.memory, ports.deferred, all, accounts),
    };
  }

  /** Who hears of events coming and going. */
  get observers(): Observers {
    return this.#surroundings.registry.observers;
  }

  set observers(observers: Observers) {
    this.#surroundings.registry.observers = observers;
  }

  /** The events that exist, the oldest first. */
  get events(): ReadonlySet<UserEvent> {
    return this.#surroundings.registry.events;
  }

  /**
   * open(2) of user_events_data.
   *
   * @param uid who opens it
   * @returns a file to be released, or ENOMEM when the user has too many
   */
  openFile(uid: Uid): UserEventFile | ErrnoName {
    if (!this.#surroundings.accounts.charge(uid, 'filesPerUser')) return 'ENOMEM';
    return new UserEventFile(this.#surroundings, uid);
  }

  /**
   * Runs a line written to `dynamic_events`: `u:NAME [FIELDS]` makes a persistent event, `-:` and `!` remove
   * events, an empty line does nothing.
   *
   * @param command the line without its newline and comment, one character a byte
   */
  runDynamicCommand(requester: Requester, command: string): 'ok' | ErrnoName {
    const { registry } = this.#surroundings;
    if (command.startsWith('-') || command.startsWith('!')) return registry.runRemoval(requester, command);
    if (splitWords(command).length === 0) return 'ok';
    if (!command.startsWith(CREATION_PREFIX)) return 'EINVAL';
    const text = skipSpaces(command.slice(CREATION_PREFIX.length));
    const event = registry.acquire(requester, text, { persist: true, multiFormat: false });
    if (typeof event === 'string') return event;
    event.release();
    return 'ok';
  }

  /** The text of `dynamic_events`. */
  dynamicEventsText(): string {
    let text = '';
    for (const { registeredName, fieldsText } of this.events) {
      text += `${CREATION_PREFIX}${registeredName}${fieldsText === '' ? '' : ` ${fieldsText}`}\n`;
    }
    return text;
  }

  /** The text of `user_events_status`, in the kernel's order. */
  statusText(): string {
    const newestFirst = [...this.events].toReversed();
    const buckets = new Map(newestFirst.map((event) => [event, nameBucket(event.registeredName)]));
    const inBucketOrder = newestFirst.toSorted((a, b) => (buckets.get(a) ?? 0) - (buckets.get(b) ?? 0));
    let text = '';
    let busy = 0;
    for (const { name, isEnabled } of inBucketOrder) {
      text += isEnabled ? `${name} # Used by ftrace\n` : `${name}\n`;
      if (isEnabled) busy++;
    }
    return `${text}\nActive: ${this.events.size}\nBusy: ${busy}\n`;
  }

  /**
   * A task made another: fork(2), vfork(2), clone(2). To be told before the child asks for anything.
   *
   * @param sharesMemory whether the child runs in the parent's memory (CLONE_VM)
   * @param isStillChild asked after the child's memory was opened: whether that is the memory it was made with. If not,
   *   nothing is written there
   */
  taskForked(parent: Tid, child: Tid, sharesMemory: boolean, isStillChild: () => boolean = () => true): void {
    this.#surroundings.spaces.forked(parent, child, sharesMemory, isStillChild);
  }

  /** A task runs a new image: execve(2). */
  taskExeced(tid: Tid): void {
    this.#surroundings.spaces.left(tid);
  }

  /** A task is no more. */
  taskExited(tid: Tid): void {
    this.#surroundings.spaces.left(tid);
  }

  /** Whether a task's address space is known: it or an ancestor registered. */
  hasAddressSpace(tid: Tid): boolean {
    return this.#surroundings.spaces.has(tid);
  }

  /** The tasks whose address space is known. */
  get tasks(): Iterable<Tid> {
    return this.#surroundings.spaces.tasks;
  }

  /** The enable bits that are being written, could not be, or hang. */
  *unsettled(): Generator<UnsettledWord> {
    for (const space of this.#surroundings.spaces.all) {
      for (const { event, address, bit, word } of space.enablers) {
        if (word !== 'settled') yield { event, tids: [...space.members], address, bit, outcome: word };
      }
    }
  }
}
