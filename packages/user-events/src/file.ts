/**
 * An open user_events_data: the events registered through it, in the order of their write index.
 *
 * It holds one reference to each until it is released. It belongs to whoever has the descriptor: enablers
 * belong to the task that asks, not to the file.
 */

import type { UnreadableText, UserReg, UserUnreg } from '@usertrace/abi';
import { assert, type ErrnoName, type Tid, type Uid } from '@usertrace/base';
import type { AddressSpaces } from './address-spaces.ts';
import type { EventRegistry } from './event-registry.ts';
import type { UserEvent } from './event.ts';
import type { Accounts, Limits } from './limits.ts';
import type { Requester } from './ports.ts';

/** What files have in common. */
export interface FileSurroundings {
  readonly registry: EventRegistry;
  readonly spaces: AddressSpaces;
  readonly limits: Limits;
  readonly accounts: Accounts;
}

/** What REG answers. */
export type RegisterAnswer = { readonly writeIndex: number } | ErrnoName;

/** Of a word of 8 bytes. UNREG may name any bit up to 255. */
const LARGEST_WORD_BITS = 64;

/** An open file of user_events_data. */
export class UserEventFile {
  readonly #surroundings: FileSurroundings;
  readonly #uid: Uid;
  readonly #events: UserEvent[] = [];
  readonly #indexes = new Map<UserEvent, number>();
  #isReleased = false;

  constructor(surroundings: FileSurroundings, uid: Uid) {
    this.#surroundings = surroundings;
    this.#uid = uid;
  }

  /**
   * REG: finds or makes the event, refers to it, and registers the enable bit.
   *
   * @param requester the task that asks; its memory holds the bit
   * @param request what `decodeUserReg` made of its structure
   * @param command what `commandFromBytes` made of its string
   * @param reply called once, maybe at once, when the bit was written
   */
  register(
    requester: Requester,
    request: UserReg,
    command: string | UnreadableText,
    reply: (answer: RegisterAnswer) => void,
  ): void {
    assert(!this.#isReleased, 'a released file gets no requests');
    const { registry, spaces } = this.#surroundings;
    const { enableAddress, enableBit } = request;
    const space = spaces.currentOrNew(requester);
    if (space?.enablerAt(enableAddress, enableBit) !== undefined) return reply('EADDRINUSE');
    if (typeof command !== 'string') return reply(command.errno);
    const event = registry.acquire(requester, command, request);
    if (typeof event === 'string') return reply(event);
    const writeIndex = this.#refer(event);
    if (writeIndex === undefined || space === undefined) {
      event.release();
      return reply('ENOMEM');
    }
    space.register(event, enableAddress, enableBit, (isStored) =>
      reply(isStored ? { writeIndex } : 'ENOMEM'),
    );
    event.release();
  }

  /**
   * UNREG: removes the enable bit of the asking task's address space, and clears it.
   *
   * @param reply called once, maybe at once, when the bit was cleared; EFAULT when it could not be
   */
  unregister(requester: Requester, request: UserUnreg, reply: (answer: 'ok' | ErrnoName) => void): void {
    assert(!this.#isReleased, 'a released file gets no requests');
    const space = this.#surroundings.spaces.current(requester.tid);
    const isInWord = request.disableBit < LARGEST_WORD_BITS;
    const enabler = isInWord ? space?.enablerAt(request.disableAddress, request.disableBit) : undefined;
    if (space === undefined || enabler?.isLive !== true) return reply('ENOENT');
    space.unregister(enabler, (isCleared) => reply(isCleared ? 'ok' : 'EFAULT'));
  }

  /**
   * DEL: deletes the events registered under a name.
   *
   * @param name what `commandFromBytes` made of its string
   */
  delete(requester: Requester, name: string | UnreadableText): 'ok' | ErrnoName {
    return this.#surroundings.registry.delete(requester, name);
  }

  /**
   * write(2): records an event.
   *
   * @param pid the writer's thread id
   * @param bytes the s32 write index and the payload, which may be longer than the fields
   * @returns the number of bytes taken, all of them, or what the write answers
   */
  write(pid: Tid, bytes: Uint8Array): number | ErrnoName {
    if (bytes.length < 4) return 'EFAULT';
    const index =
      (bytes[0] as number) |
      ((bytes[1] as number) << 8) |
      ((bytes[2] as number) << 16) |
      ((bytes[3] as number) << 24);
    if (index < 0) return 'EINVAL';
    const event = this.#events[index];
    return event === undefined ? 'ENOENT' : event.write(pid, bytes);
  }

  /** The last descriptor was closed: lets go of all events. */
  release(): void {
    assert(!this.#isReleased, 'a file is released once');
    this.#isReleased = true;
    for (const event of this.#events) event.release();
    this.#events.length = 0;
    this.#indexes.clear();
    this.#surroundings.accounts.refund(this.#uid, 'filesPerUser');
  }

  /** The event's index in this file; undefined when the file refers to too many. */
  #refer(event: UserEvent): number | undefined {
    const known = this.#indexes.get(event);
    if (known !== undefined) return known;
    const index = this.#events.length;
    if (index >= this.#surroundings.limits.referencesPerFile) return undefined;
    event.acquire();
    this.#events.push(event);
    this.#indexes.set(event, index);
    return index;
  }
}
