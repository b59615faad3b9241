/**
 * What is known of the programs of one user whose pages hang, and the lanes that they have for themselves.
 *
 * A hang costs those who wait in the same lane `PROMPT_NS` (access-lanes.ts). A user has a few of them free; from then
 * on all operations of the user's programs go to a lane of the user's own, so that they delay each other and nobody
 * else. The user is the one that the kernel names in each request, which no program can forge; everything else about
 * itself a program can change, by fork or exec, between two calls. Within a user, a task whose page hung is known
 * by its id for a while, because each of its ioctls opens its address space anew.
 *
 * RemoteMemory holds one for each user in trouble, and forgets it when nothing hung for `SUSPICION_NS`.
 */
import { Nanoseconds, type Tid } from '@usertrace/base';
import { monotonicNow } from '../clock.ts';
import { type AddressSpace, SUSPICION_NS } from './address-space.ts';
import type { Cancellable, Reactor } from '../reactor/reactor.ts';
import type { Executor } from './executor.ts';
import type { Lane } from './lane.ts';
import { type Operation, settleLate } from './operation.ts';

/** Hangs of a user that others are delayed by, until none happened for `SUSPICION_NS`. */
const FREE_HANGS = 4;
/**
 * Executors that a user's accesses hold after SIGKILL. Each costs some 40 KiB, and what it has open. With so many,
 * nothing that the user asks for is tried: it is late.
 */
export const MAX_HELD_PER_USER = 64;
/** Tasks of a user whose pages hung. The one that is known for longest is forgotten first. */
const MAX_HUNG_TASKS = 1024;
/** Late without a try is answered after up to so long, so that programs that ask again at once keep no CPU busy. */
const TURNED_AWAY_NS = Nanoseconds(100_000_000);
/** How often it is looked whether held executors have died: each look costs 0.3 µs for each of them. */
const LOOK_INTERVAL_NS = 10_000_000;

/** A user in trouble. */
export class UserConduct {
  /** For operations of address spaces that are not suspect. */
  readonly ownLane: Lane;
  /** For those that are. */
  readonly patientLane: Lane;
  readonly #reactor: Reactor;
  #turnedAway: Operation[] = [];
  #turnedAwayTimer: Cancellable | undefined;
  readonly #isDead: (executor: Executor) => boolean;
  readonly #held = new Set<Executor>();
  readonly #hungUntilNs = new Map<Tid, Nanoseconds>();
  #hangs = 0;
  #forgivenNs: number = -Infinity;
  #lookedNs: number = -Infinity;
  #isForgotten = false;

  /** @param isDead whether an executor that was killed is dead */
  constructor(reactor: Reactor, ownLane: Lane, patientLane: Lane, isDead: (executor: Executor) => boolean) {
    this.#reactor = reactor;
    this.ownLane = ownLane;
    this.patientLane = patientLane;
    this.#isDead = isDead;
  }

  /** An access hung, and its executor was killed. */
  hung(space: AddressSpace, executor: Executor): void {
    const nowNs = monotonicNow();
    if (nowNs >= this.#forgivenNs) this.#hangs = 0;
    this.#hangs += 1;
    const forgivenNs = Nanoseconds(nowNs + SUSPICION_NS);
    this.#forgivenNs = forgivenNs;
    if (!this.#isDead(executor)) this.#held.add(executor);
    this.#hungUntilNs.delete(space.tid);
    this.#hungUntilNs.set(space.tid, forgivenNs);
    for (const tid of this.#hungUntilNs.keys()) {
      if (this.#hungUntilNs.size <= MAX_HUNG_TASKS) break;
      this.#hungUntilNs.delete(tid);
    }
    space.suspect(forgivenNs);
  }

  /** Until when the address space of a task is not trusted, because a page of it hung before it was opened. */
  suspicionOf(tid: Tid): Nanoseconds | undefined {
    return this.#hungUntilNs.get(tid);
  }

  /** Whether operations of the user have to keep out of the lane of all. */
  get isConfined(): boolean {
    if (this.ownLane.size > 0) return true; // They keep their order.
    return (this.#hangs > FREE_HANGS && monotonicNow() < this.#forgivenNs) || this.#heldCount() > 0;
  }

  /** Whether so many executors are held that no other may be tried. */
  get holdsTooMany(): boolean {
    return this.#held.size >= MAX_HELD_PER_USER && this.#heldCount() >= MAX_HELD_PER_USER;
  }

  /** How many operations are not settled. */
  get size(): number {
    return this.ownLane.size + this.patientLane.size + this.#turnedAway.length;
  }

  get isForgotten(): boolean {
    return this.#isForgotten;
  }

  /** Settles an operation as late after a while. */
  turnAway(operation: Operation): void {
    this.#turnedAway.push(operation);
    this.#turnedAwayTimer ??= this.#reactor.after(TURNED_AWAY_NS, () => this.#settleTurnedAway());
  }

  /** Gives the lanes' executors back if there is nothing to hold against the user any more. Returns whether so. */
  forgetIfReformed(): boolean {
    if (this.size > 0 || monotonicNow() < this.#forgivenNs || this.#heldCount() > 0) return false;
    this.dispose();
    return true;
  }

  /** Settles all as late. */
  dispose(): void {
    this.#isForgotten = true;
    this.ownLane.dispose();
    this.patientLane.dispose();
    this.#settleTurnedAway();
  }

  #settleTurnedAway(): void {
    this.#turnedAwayTimer?.cancel();
    this.#turnedAwayTimer = undefined;
    const operations = this.#turnedAway;
    this.#turnedAway = [];
    for (const operation of operations) settleLate(operation);
  }

  #heldCount(): number {
    const nowNs = monotonicNow();
    if (this.#held.size > 0 && nowNs - this.#lookedNs >= LOOK_INTERVAL_NS) {
      this.#lookedNs = nowNs;
      for (const executor of this.#held) if (this.#isDead(executor)) this.#held.delete(executor);
    }
    return this.#held.size;
  }
}
