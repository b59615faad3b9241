/**
 * Which task is a member of which address space that has enablers.
 *
 * As in the kernel, membership follows the task, not the memory: a task joins its parent's when clone shares
 * memory, gets a copy when fork does not, leaves at exec and exit, and makes its own when it first registers
 * without one. A task that shared memory with its parent before that parent registered has none: its first
 * registration makes a second record of the same memory.
 */

import type { Tid, Uid } from '@usertrace/base';
import { AddressSpace, type AddressSpaceOwner } from './address-space.ts';
import type { Accounts, Limits } from './limits.ts';
import type { DeferredWork, MemoryPort, Requester } from './ports.ts';

/** The address spaces of all tasks. */
export class AddressSpaces implements AddressSpaceOwner {
  readonly #memory: MemoryPort;
  readonly #deferred: DeferredWork;
  readonly #limits: Limits;
  readonly #accounts: Accounts;
  readonly #byTask = new Map<Tid, AddressSpace>();
  readonly #all = new Set<AddressSpace>();
  #retryCount = 0;

  constructor(memory: MemoryPort, deferred: DeferredWork, limits: Limits, accounts: Accounts) {
    this.#memory = memory;
    this.#deferred = deferred;
    this.#limits = limits;
    this.#accounts = accounts;
  }

  /** Every address space. */
  get all(): Iterable<AddressSpace> {
    return this.#all;
  }

  /** Every task that is a member of one. */
  get tasks(): Iterable<Tid> {
    return this.#byTask.keys();
  }

  has(tid: Tid): boolean {
    return this.#byTask.has(tid);
  }

  /** The address space of a task that asks for something, with its memory open if that is possible. */
  current(tid: Tid): AddressSpace | undefined {
    const space = this.#byTask.get(tid);
    if (space === undefined) return undefined;
    if (!space.isAlive()) {
      // Nobody told of the exec or exit; this task is another one, or another program.
      space.drop();
      return undefined;
    }
    space.openMemory(tid);
    return space;
  }

  /**
   * The address space of a task that registers, made if it has none.
   *
   * @returns undefined when there are too many, or the task's memory cannot be opened
   */
  currentOrNew(requester: Requester): AddressSpace | undefined {
    const { tid, uid } = requester;
    const current = this.current(tid);
    if (current !== undefined) return current.hasMemory ? current : undefined;
    if (!this.#charge(uid)) return undefined;
    const space = new AddressSpace(this, this.#memory, this.#deferred, tid, uid);
    if (!space.hasMemory) {
      this.#accounts.refund(uid, 'addressSpacesPerUser');
      return undefined;
    }
    this.#all.add(space);
    this.#join(tid, space);
    return space;
  }

  /** A task made another; to be told before the child asks for anything. */
  forked(parent: Tid, child: Tid, sharesMemory: boolean, isStillChild: () => boolean): void {
    this.left(child);
    const parentSpace = this.#byTask.get(parent);
    if (parentSpace === undefined) return;
    if (sharesMemory) {
      this.#join(child, parentSpace);
      return;
    }
    const { uid } = parentSpace;
    if (!this.#charge(uid)) return;
    const space = new AddressSpace(this, this.#memory, this.#deferred, child, uid);
    // A child that runs another image by now has nothing to do with what was registered.
    if (space.hasMemory && !isStillChild()) space.forgetMemory();
    this.#all.add(space);
    this.#join(child, space);
    if (!space.inheritFrom(parentSpace)) space.drop();
  }

  /** A task left its address space, by exec or exit. */
  left(tid: Tid): void {
    const space = this.#byTask.get(tid);
    if (space === undefined) return;
    this.#byTask.delete(tid);
    space.members.delete(tid);
    if (space.members.size === 0) space.drop();
  }

  dropped(space: AddressSpace): void {
    for (const tid of space.members) this.#byTask.delete(tid);
    space.members.clear();
    this.#all.delete(space);
    this.#accounts.refund(space.uid, 'addressSpacesPerUser');
  }

  chargeEnabler(space: AddressSpace): boolean {
    if (space.enablerCount >= this.#limits.enablersPerAddressSpace) return false;
    return this.#accounts.charge(space.uid, 'enablersPerUser');
  }

  refundEnabler(space: AddressSpace): void {
    this.#accounts.refund(space.uid, 'enablersPerUser');
  }

  chargeRetry(space: AddressSpace): boolean {
    const { lateRetries, lateRetriesPerAddressSpace } = this.#limits;
    if (this.#retryCount >= lateRetries || space.retryCount >= lateRetriesPerAddressSpace) return false;
    if (!this.#accounts.charge(space.uid, 'lateRetriesPerUser')) return false;
    this.#retryCount++;
    return true;
  }

  refundRetry(space: AddressSpace): void {
    this.#retryCount--;
    this.#accounts.refund(space.uid, 'lateRetriesPerUser');
  }

  /** Counts an address space, if the bounds leave room for it. */
  #charge(uid: Uid): boolean {
    return this.#all.size < this.#limits.addressSpaces && this.#accounts.charge(uid, 'addressSpacesPerUser');
  }

  #join(tid: Tid, space: AddressSpace): void {
    this.#byTask.set(tid, space);
    space.members.add(tid);
  }
}
