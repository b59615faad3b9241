/**
 * A bit in a program's memory that says whether an event is enabled.
 *
 * An enabler belongs to an address space, refers to its event, and sees to it that the bit gets the event's
 * state. It is `registering` until the first store has ended, then `live` until it is removed: by UNREG, or
 * with its address space. A removed one begins no store.
 */

import { type Address, Nanoseconds } from '@usertrace/base';
import type { AddressSpace } from './address-space.ts';
import type { UserEvent } from './event.ts';
import type { DeferredWork, StoreOutcome } from './ports.ts';
import type { StoreJob } from './word-stores.ts';

/** What is known of the bit: `settled` has the event's state, `pending` is about to. */
export type WordState = 'settled' | 'pending' | 'late' | 'faulted';

/** How often a store whose page hung is tried again before the event's next change. */
const LATE_RETRIES_MAX = 4;
/** The wait before the first retry; each further one waits twice as long. */
const LATE_RETRY_DELAY_NS = 100_000_000;

/** An enable bit. */
export class Enabler implements StoreJob {
  readonly space: AddressSpace;
  readonly event: UserEvent;
  readonly address: Address;
  readonly bit: number;
  readonly #deferred: DeferredWork;
  #phase: 'registering' | 'live' | 'removed';
  #registered: ((isStored: boolean) => void) | undefined;
  #word: WordState = 'settled';
  #place: 'none' | 'in-line' | 'in-flight' = 'none';
  /** The event was switched while a store was in flight. */
  #isStale = false;
  #retries = 0;
  #retry: { cancel(): void } | undefined;

  /**
   * @param registered for a new registration, called when its first store has ended; undefined for one
   *   that a fork inherits, whose bit came with the memory
   */
  constructor(
    space: AddressSpace,
    event: UserEvent,
    address: Address,
    bit: number,
    deferred: DeferredWork,
    registered: ((isStored: boolean) => void) | undefined,
  ) {
    this.space = space;
    this.event = event;
    this.address = address;
    this.bit = bit;
    this.#deferred = deferred;
    this.#registered = registered;
    this.#phase = registered === undefined ? 'live' : 'registering';
    event.addEnabler(this);
  }

  get isLive(): boolean {
    return this.#phase === 'live';
  }

  get word(): WordState {
    return this.#word;
  }

  /** Whether the bit may come to differ from the event's state without another change of it. */
  get isUnsettled(): boolean {
    return this.#place !== 'none' || this.#word === 'late';
  }

  /** The event's state changed, or its bit is to be written again. */
  eventSwitched(): void {
    this.#retries = 0;
    if (this.#place === 'in-flight') this.#isStale = true;
    else this.requestStore();
  }

  /** Puts the bit in line to be written with the event's state. */
  requestStore(): void {
    this.#endRetry();
    if (this.#place !== 'none') return;
    this.#place = 'in-line';
    this.#setWord('pending');
    this.space.store(this);
  }

  beginStore(): boolean | undefined {
    if (this.#phase === 'removed') return undefined;
    this.#place = 'in-flight';
    this.#isStale = false;
    this.#setWord('pending');
    return this.event.isEnabled;
  }

  storeEnded(outcome: StoreOutcome): void {
    if (this.#phase === 'removed') return;
    this.#place = 'none';
    // If its memory is gone, its address space is about to remove it.
    if (outcome === 'gone') return;
    if (this.#phase === 'registering') this.#endRegistration(outcome === 'stored');
    if (!this.isLive) return;
    if (this.#isStale) this.requestStore();
    else this.#setWord(outcome === 'stored' ? 'settled' : outcome);
    if (this.#word === 'late' && this.#retries < LATE_RETRIES_MAX) this.#retryLater();
  }

  /** Takes the enabler off its event, for good. The address space forgets it by itself. */
  remove(): void {
    this.#phase = 'removed';
    this.#endRetry();
    this.#setWord('settled');
    const registered = this.#registered;
    this.#registered = undefined;
    this.event.removeEnabler(this);
    registered?.(false);
  }

  #endRegistration(isStored: boolean): void {
    if (!isStored) {
      this.space.removeEnabler(this);
      return;
    }
    const registered = this.#registered;
    this.#phase = 'live';
    this.#registered = undefined;
    registered?.(true);
  }

  /** Unless too many words of the address space wait for theirs already: then not before the event's next change. */
  #retryLater(): void {
    if (!this.space.takeRetry()) return;
    const delayNs = LATE_RETRY_DELAY_NS * 2 ** this.#retries++;
    this.#retry = this.#deferred.after(Nanoseconds(delayNs), () => this.requestStore());
  }

  #endRetry(): void {
    if (this.#retry === undefined) return;
    this.#retry.cancel();
    this.#retry = undefined;
    this.space.giveBackRetry();
  }

  #setWord(word: WordState): void {
    const wasPending = this.#word === 'pending';
    this.#word = word;
    if (word === 'pending' && !wasPending) this.event.wordPending();
    if (word !== 'pending' && wasPending) this.event.wordSettled();
  }
}
