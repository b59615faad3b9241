/**
 * What must hold in a simulated system: who registered which bit, who refers to which event, and so which
 * stores are permitted and which state each bit must have. It knows nothing of how the domain does it.
 */

import { Address, assert, type Tid } from '@usertrace/base';
import type { StoreOutcome, UserEvent } from './index.ts';
import type { PendingStore, SimulatedMemory, StoreWatcher } from './memory.sim.ts';

/** A bit of a word. */
export interface Bit {
  readonly address: bigint;
  readonly bit: number;
}

/** A registered bit. */
export interface Registration {
  /** Undefined while REG is looking for it. */
  event: UserEvent | undefined;
  /** REG has answered. */
  isLive: boolean;
  /** Once all is settled the bit must have the event's state: no store failed since that changed. */
  mustMatch: boolean;
}

/** The tasks that share registrations. */
export interface Space {
  /** Its first member, by which its memory is held open. */
  readonly opener: Tid;
  readonly memory: SimulatedMemory;
  readonly members: Set<Tid>;
  readonly registrations: Map<string, Registration>;
  /** Bits that an UNREG is clearing, and how many are. */
  readonly clearing: Map<string, number>;
}

export const keyOf = ({ address, bit }: Bit): string => `${address.toString(16)}.${bit}`;

/** The registrations of all tasks. */
export class Model implements StoreWatcher {
  readonly spaces = new Map<Tid, Space>();
  /** How many stores did not take effect in time. */
  failures = 0;
  /** Memory that two records were made of, as the kernel does too: its bits have two writers. */
  readonly #sharedTwice = new Set<SimulatedMemory>();
  readonly #owned = new Set<SimulatedMemory>();
  /** Stores that were in flight when their registrations were dropped, and may still land. */
  readonly #orphans = new WeakSet<PendingStore>();

  /** Every record once. */
  get all(): Set<Space> {
    return new Set(this.spaces.values());
  }

  /** A task without a record gets one. */
  newSpace(tid: Tid, memory: SimulatedMemory): Space {
    if (this.#owned.has(memory)) this.#sharedTwice.add(memory);
    this.#owned.add(memory);
    const space: Space = {
      opener: tid,
      memory,
      members: new Set([tid]),
      registrations: new Map(),
      clearing: new Map(),
    };
    this.spaces.set(tid, space);
    return space;
  }

  /** A child joins its parent's record, or gets a copy. */
  fork(parent: Tid, child: Tid, memory: SimulatedMemory): void {
    const space = this.spaces.get(parent);
    if (space === undefined) return;
    if (space.memory === memory) {
      space.members.add(child);
      this.spaces.set(child, space);
      return;
    }
    const isKnown = !this.#sharedTwice.has(space.memory);
    const copy = this.newSpace(child, memory);
    for (const [key, { event, isLive, mustMatch }] of space.registrations) {
      if (isLive) copy.registrations.set(key, { event, isLive, mustMatch: mustMatch && isKnown });
    }
  }

  /** A task leaves its record. */
  leave(tid: Tid, pending: readonly PendingStore[]): void {
    const space = this.spaces.get(tid);
    if (space === undefined) return;
    this.spaces.delete(tid);
    space.members.delete(tid);
    if (space.members.size > 0) return;
    for (const store of pending) if (isOf(store, space)) this.#orphans.add(store);
  }

  /** It was found out that no task uses a record's memory any more. */
  drop(dead: Space): void {
    for (const [tid, space] of this.spaces) if (space === dead) this.spaces.delete(tid);
  }

  isCurrent(space: Space): boolean {
    return this.all.has(space);
  }

  /** References that enable bits hold to an event. */
  countRegistrations(event: UserEvent): number {
    let count = 0;
    for (const { registrations } of this.all) {
      for (const registration of registrations.values()) if (registration.event === event) count++;
    }
    return count;
  }

  /** An event is switched: all its bits are written. */
  expectMatch(event: UserEvent): void {
    for (const { registrations } of this.all) {
      for (const registration of registrations.values()) {
        if (registration.event === event) registration.mustMatch = true;
      }
    }
  }

  began(store: PendingStore): void {
    assert(this.#isPermitted(store), `a store begins at a registered bit only: ${keyOf(store)}`);
    const registration = this.#registrationOf(store);
    const isWanted = registration !== undefined && (registration.event?.isEnabled ?? true);
    assert(!store.set || isWanted, 'only the bit of an enabled event is set');
  }

  ended(store: PendingStore, outcome: StoreOutcome): void {
    if (outcome !== 'stored') this.failures++;
    const space = this.#spaceOf(store);
    if (outcome === 'gone') return space && this.drop(space);
    if (outcome === 'stored') {
      const isExpected = this.#orphans.has(store) || this.#isPermitted(store);
      assert(isExpected, `nothing is written where nothing is registered: ${keyOf(store)}`);
    }
    const registration = this.#registrationOf(store);
    if (registration === undefined) return undefined;
    if (outcome === 'faulted' || outcome === 'late') registration.mustMatch = false;
    if (outcome === 'stored' && registration.event?.isEnabled === store.set) registration.mustMatch = true;
    return undefined;
  }

  /** Checks every bit, when nothing is in flight. */
  checkBits(bits: readonly Bit[]): void {
    for (const { memory, registrations } of this.all) {
      for (const bit of bits) {
        const registration = registrations.get(keyOf(bit));
        if (registration === undefined) continue;
        assert(registration.isLive, 'every registration is complete');
        if (!registration.mustMatch || this.#sharedTwice.has(memory)) continue;
        const isSet = memory.isBitSet(Address(bit.address), bit.bit);
        assert(isSet === registration.event?.isEnabled, `bit ${keyOf(bit)} has its event's state`);
      }
    }
  }

  #isPermitted(store: PendingStore): boolean {
    const isClearing = (this.#spaceOf(store)?.clearing.get(keyOf(store)) ?? 0) > 0;
    return isClearing || this.#registrationOf(store) !== undefined;
  }

  #registrationOf(store: PendingStore): Registration | undefined {
    return this.#spaceOf(store)?.registrations.get(keyOf(store));
  }

  #spaceOf(store: PendingStore): Space | undefined {
    return [...this.all].find((space) => isOf(store, space));
  }
}

function isOf({ handle }: PendingStore, { opener, memory }: Space): boolean {
  return handle.opener === opener && handle.memory === memory;
}
