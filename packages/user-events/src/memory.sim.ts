/**
 * Memory of simulated processes: pages that are copied by fork, shared by clone, replaced by exec, and
 * reached by the domain through a {@link MemoryPort} whose stores end when the simulation says so.
 */

import { Address, assert, type Tid } from '@usertrace/base';
import type { MemoryHandle, MemoryPort, StoreOutcome } from './index.ts';

const PAGE_SIZE = 4096n;

type PageState = 'writable' | 'read-only' | 'unmapped';

/** The memory of one process, or of several that share it. */
export class SimulatedMemory {
  /** Tasks that run in it. */
  users = 0;
  readonly #bytes = new Map<bigint, number>();
  readonly #pages = new Map<bigint, PageState>();

  /** Maps pages that hold zeroes. */
  map(start: Address, pageCount: number): void {
    for (let i = 0; i < pageCount; i++) this.#pages.set(start / PAGE_SIZE + BigInt(i), 'writable');
  }

  /** @returns whether the page was mapped */
  protect(address: Address, state: PageState): boolean {
    if (this.stateOf(address) === 'unmapped') return false;
    this.#pages.set(address / PAGE_SIZE, state);
    return true;
  }

  /** madvise(MADV_DONTNEED): the page reads as zeroes from now on. */
  discard(address: Address): boolean {
    if (this.stateOf(address) === 'unmapped') return false;
    for (const at of this.#bytes.keys()) if (at / PAGE_SIZE === address / PAGE_SIZE) this.#bytes.delete(at);
    return true;
  }

  stateOf(address: bigint): PageState {
    return this.#pages.get(address / PAGE_SIZE) ?? 'unmapped';
  }

  readByte(address: bigint): number {
    return this.#bytes.get(address) ?? 0;
  }

  writeByte(address: bigint, byte: number): void {
    this.#bytes.set(address, byte);
  }

  isBitSet(address: bigint, bit: number): boolean {
    return ((this.readWord(Address(address)) >> BigInt(bit)) & 1n) === 1n;
  }

  readWord(address: Address): bigint {
    let word = 0n;
    for (let i = 7n; i >= 0n; i--) word = (word << 8n) | BigInt(this.readByte(address + i));
    return word;
  }

  writeWord(address: Address, word: bigint): void {
    for (let i = 0n; i < 8n; i++) this.writeByte(address + i, Number((word >> (8n * i)) & 0xffn));
  }

  copy(): SimulatedMemory {
    const copy = new SimulatedMemory();
    for (const [address, byte] of this.#bytes) copy.#bytes.set(address, byte);
    for (const [page, state] of this.#pages) copy.#pages.set(page, state);
    return copy;
  }
}

/** A store that the domain asked for and that has not ended. */
export interface PendingStore {
  readonly handle: SimulatedHandle;
  readonly address: Address;
  readonly bit: number;
  readonly set: boolean;
  readonly completed: (outcome: StoreOutcome) => void;
}

/** Memory that the domain holds open. */
export class SimulatedHandle {
  /** The task it was opened by. */
  readonly opener: Tid;
  readonly memory: SimulatedMemory;
  isClosed = false;
  /** A store hangs for good: all others are late. */
  isForsaken = false;

  constructor(opener: Tid, memory: SimulatedMemory) {
    this.opener = opener;
    this.memory = memory;
  }
}

/** Who looks at stores: a model. */
export interface StoreWatcher {
  /** The domain begins a store. */
  began(store: PendingStore): void;
  /** A store ends, before the domain hears of it. */
  ended(store: PendingStore, outcome: StoreOutcome): void;
}

/** Memory by task. Stores wait in `pending` until somebody ends them. */
export class SimulatedMemoryPort implements MemoryPort {
  readonly byTask = new Map<Tid, SimulatedMemory>();
  readonly pending: PendingStore[] = [];
  /** Stores that hang for good, to the domain's knowledge late. */
  readonly ghosts: PendingStore[] = [];
  openHandles = 0;
  readonly #watcher: StoreWatcher | undefined;

  constructor(watcher?: StoreWatcher) {
    this.#watcher = watcher;
  }

  open(tid: Tid): MemoryHandle | undefined {
    const memory = this.byTask.get(tid);
    if (memory === undefined) return undefined;
    this.openHandles++;
    return new SimulatedHandle(tid, memory);
  }

  close(handle: MemoryHandle): void {
    assert(handle instanceof SimulatedHandle && !handle.isClosed, 'an open handle is closed');
    const isBusy = this.pending.some((store) => store.handle === handle);
    assert(!isBusy, 'a handle is closed when its stores have ended');
    handle.isClosed = true;
    this.openHandles--;
  }

  isAlive(handle: MemoryHandle): boolean {
    assert(handle instanceof SimulatedHandle && !handle.isClosed, 'a closed handle is not used');
    return handle.memory.users > 0;
  }

  storeBit(
    handle: MemoryHandle,
    address: Address,
    bit: number,
    set: boolean,
    completed: (outcome: StoreOutcome) => void,
  ): void {
    assert(handle instanceof SimulatedHandle && !handle.isClosed, 'a closed handle is not used');
    const isBusy = this.pending.some(
      (store) => store.handle === handle && store.address >> 3n === address >> 3n,
    );
    assert(!isBusy, 'a word has one store in flight');
    const store = { handle, address, bit, set, completed };
    this.#watcher?.began(store);
    this.pending.push(store);
  }

  /** Lets a store take effect, as far as its page allows, and says how it went. */
  finish(store: PendingStore): void {
    this.#end(store, store.handle.isForsaken ? 'late' : apply(store));
  }

  /** Lets a store fail, as a page does that cannot come in now. */
  fail(store: PendingStore): void {
    this.#end(store, store.handle.memory.users === 0 ? 'gone' : 'faulted');
  }

  /** Lets a store's deadline pass: it is given up, and has no effect. */
  giveUp(store: PendingStore): void {
    this.#end(store, 'late');
  }

  /** Lets a store's deadline pass while it cannot be given up: it takes effect at an unknown time. */
  forsake(store: PendingStore): void {
    if (!store.handle.isForsaken) this.ghosts.push(store);
    store.handle.isForsaken = true;
    this.#end(store, 'late');
  }

  /** Lets stores take effect that could not be given up. */
  landGhosts(): void {
    for (const ghost of this.ghosts.splice(0)) apply(ghost);
  }

  #end(store: PendingStore, outcome: StoreOutcome): void {
    this.pending.splice(this.pending.indexOf(store), 1);
    this.#watcher?.ended(store, outcome);
    store.completed(outcome);
  }
}

function apply({ handle: { memory }, address, bit, set }: PendingStore): StoreOutcome {
  if (memory.users === 0) return 'gone';
  if (memory.stateOf(address) !== 'writable') return 'faulted';
  const at = Address(address + BigInt(bit >> 3));
  const mask = 1 << (bit & 7);
  const byte = memory.readByte(at);
  memory.writeByte(at, set ? byte | mask : byte & ~mask);
  return 'stored';
}
