/**
 * An address space that has enablers: the kernel's `user_event_mm`.
 *
 * The tasks that share it are its members; the last that leaves drops it, and with it its enablers.
 * {@link AddressSpaces} says which task is a member of which.
 *
 * It holds its memory open. A child that was gone before its memory could be opened has none, but its own
 * children inherit from it all the same.
 */

import type { Address, Tid, Uid } from '@usertrace/base';
import { Enabler } from './enabler.ts';
import type { UserEvent } from './event.ts';
import type { DeferredWork, MemoryPort, StoreOutcome } from './ports.ts';
import { type StoreJob, WordStores } from './word-stores.ts';

/** Who is told when an address space is no more. */
export interface AddressSpaceOwner {
  /** Takes off the members and the counts. */
  dropped(space: AddressSpace): void;
  /** Counts an enabler, if the bounds leave room for it. */
  chargeEnabler(space: AddressSpace): boolean;
  refundEnabler(space: AddressSpace): void;
  /** Counts a word that waits for another try, likewise. */
  chargeRetry(space: AddressSpace): boolean;
  refundRetry(space: AddressSpace): void;
}

/** The enablers and members of one address space. */
export class AddressSpace {
  /** Who the counts are for. */
  readonly uid: Uid;
  readonly members: Set<Tid> = new Set();
  readonly #owner: AddressSpaceOwner;
  readonly #memory: MemoryPort;
  readonly #deferred: DeferredWork;
  readonly #enablers = new Map<number, Enabler>();
  #stores: WordStores | undefined;
  #isDropped = false;
  #waitingRetries = 0;

  /**
   * @param member the task whose memory it is
   */
  constructor(owner: AddressSpaceOwner, memory: MemoryPort, deferred: DeferredWork, member: Tid, uid: Uid) {
    this.#owner = owner;
    this.#memory = memory;
    this.#deferred = deferred;
    this.uid = uid;
    this.openMemory(member);
  }

  get enablers(): Iterable<Enabler> {
    return this.#enablers.values();
  }

  get enablerCount(): number {
    return this.#enablers.size;
  }

  get hasMemory(): boolean {
    return this.#stores !== undefined;
  }

  /** False once no task uses the memory, whether or not the members were seen leaving. */
  isAlive(): boolean {
    return this.#stores?.isAlive() ?? true;
  }

  /** Holds the memory open, if it does not already; what a member that asks for something makes possible. */
  openMemory(member: Tid): void {
    if (this.#stores !== undefined) return;
    const handle = this.#memory.open(member, this.uid);
    if (handle !== undefined) this.#stores = new WordStores(this.#memory, handle, () => this.drop());
  }

  /** How many words wait for another try. */
  get retryCount(): number {
    return this.#waitingRetries;
  }

  /** Counts a word that waits for its next try. @returns whether it may */
  takeRetry(): boolean {
    if (!this.#owner.chargeRetry(this)) return false;
    this.#waitingRetries++;
    return true;
  }

  giveBackRetry(): void {
    this.#waitingRetries--;
    this.#owner.refundRetry(this);
  }

  /** Lets go of memory that turned out to be another's, before anything was stored there. */
  forgetMemory(): void {
    this.#stores?.drop();
    this.#stores = undefined;
  }

  /** The enabler at a bit, if it is registered or about to be. */
  enablerAt(address: Address, bit: number): Enabler | undefined {
    return this.#enablers.get(enablerKey(address, bit));
  }

  /**
   * Registers a bit that has no enabler: writes the event's state to it.
   *
   * @param registered called when the bit was written (true) or could not be
   */
  register(event: UserEvent, address: Address, bit: number, registered: (isStored: boolean) => void): void {
    if (this.#stores === undefined || !this.#owner.chargeEnabler(this)) {
      registered(false);
      return;
    }
    const enabler = new Enabler(this, event, address, bit, this.#deferred, registered);
    this.#enablers.set(enablerKey(address, bit), enabler);
    enabler.requestStore();
  }

  /**
   * Copies another address space's live enablers, whose bits the forked memory has too. A bit that was
   * being written in the parent at that time may have been copied before or after, and of a parent without
   * memory nothing is known: such bits are written again.
   *
   * @returns false when a bound was reached, and not all were copied
   */
  inheritFrom(parent: AddressSpace): boolean {
    for (const { event, address, bit, isLive, isUnsettled } of parent.enablers) {
      if (!isLive) continue;
      if (!this.#owner.chargeEnabler(this)) return false;
      const enabler = new Enabler(this, event, address, bit, this.#deferred, undefined);
      this.#enablers.set(enablerKey(address, bit), enabler);
      if (isUnsettled || !parent.hasMemory) enabler.requestStore();
    }
    return true;
  }

  /**
   * Unregisters a bit that has a live enabler, and clears it whatever the event's state.
   *
   * @param cleared called when nothing will be written there any more: whether the bit was cleared
   */
  unregister(enabler: Enabler, cleared: (isCleared: boolean) => void): void {
    this.removeEnabler(enabler);
    this.store(new ClearingStore(enabler.address, enabler.bit, cleared));
  }

  /** Removes an enabler of this address space. */
  removeEnabler(enabler: Enabler): void {
    this.#enablers.delete(enablerKey(enabler.address, enabler.bit));
    this.#owner.refundEnabler(this);
    enabler.remove();
  }

  /** Puts a store in line; without memory it fails. */
  store(job: StoreJob): void {
    if (this.#stores === undefined) job.storeEnded('faulted');
    else this.#stores.add(job);
  }

  /** Removes all enablers; no store begins from now on. */
  drop(): void {
    if (this.#isDropped) return;
    this.#isDropped = true;
    this.#stores?.drop();
    this.#owner.dropped(this);
    for (const enabler of this.#enablers.values()) this.removeEnabler(enabler);
  }
}

/** UNREG's store. */
class ClearingStore implements StoreJob {
  readonly address: Address;
  readonly bit: number;
  readonly #cleared: (isCleared: boolean) => void;

  constructor(address: Address, bit: number, cleared: (isCleared: boolean) => void) {
    this.address = address;
    this.bit = bit;
    this.#cleared = cleared;
  }

  beginStore(): boolean {
    return false;
  }

  storeEnded(outcome: StoreOutcome): void {
    this.#cleared(outcome === 'stored');
  }
}

/** User addresses have 47 bits and bits of a word six, which fits a double's 53. */
function enablerKey(address: Address, bit: number): number {
  return Number(address) * 64 + bit;
}
