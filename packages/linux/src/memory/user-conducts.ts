/**
 * The users in trouble: those whose programs' pages hung lately (user-conduct.ts). Users who are not have no record.
 *
 * With `MAX_USERS` in trouble, the suspect address spaces of further ones are all in one record, the crowd's; nothing
 * else of these users is held against them.
 */
import { Nanoseconds, type Uid } from '@usertrace/base';
import type { Cancellable, Reactor } from '../reactor/reactor.ts';
import { type AddressSpace, SUSPICION_NS } from './address-space.ts';
import type { UserConduct } from './user-conduct.ts';

/** Users with a record of their own. */
const MAX_USERS = 15;
/** Records there may be, the crowd's included. Each has two executors. */
export const MAX_CONDUCTS: number = MAX_USERS + 1;
/** How often records are looked at that may be given up. */
const SWEEP_INTERVAL_NS = Nanoseconds(SUSPICION_NS / 2);

export class UserConducts {
  readonly #reactor: Reactor;
  readonly #newConduct: () => UserConduct;
  readonly #byUid = new Map<Uid, UserConduct>();
  #crowd: UserConduct | undefined;
  #sweep: Cancellable | undefined;

  /** @param newConduct makes a record with lanes of its own */
  constructor(reactor: Reactor, newConduct: () => UserConduct) {
    this.#reactor = reactor;
    this.#newConduct = newConduct;
  }

  /** The record that an address space's operations go by, if there is one. */
  of(space: AddressSpace): UserConduct | undefined {
    if (this.#sweep === undefined) return undefined;
    const { conduct } = space;
    return conduct === undefined || conduct.isForgotten ? this.#byUid.get(space.uid) : conduct;
  }

  /** The record for an address space in which an access hung. It stays that one while the space is suspect. */
  toBlame(space: AddressSpace): UserConduct {
    const conduct = this.of(space) ?? this.#added(space.uid);
    space.conduct = conduct;
    return conduct;
  }

  /** Whether a user has to keep out of the lane of all. */
  isConfined(conduct: UserConduct): boolean {
    return conduct !== this.#crowd && conduct.isConfined;
  }

  /** What was learnt about a task before its address space was opened. */
  recall(space: AddressSpace): void {
    const conduct = this.of(space);
    const untilNs = conduct?.suspicionOf(space.tid);
    if (untilNs === undefined) return;
    space.conduct = conduct;
    space.suspect(untilNs);
  }

  /** How many operations are in the records' lanes. */
  get size(): number {
    let size = this.#crowd?.size ?? 0;
    for (const conduct of this.#byUid.values()) size += conduct.size;
    return size;
  }

  /** Calls back for every record. */
  forEach(look: (conduct: UserConduct) => void): void {
    for (const conduct of this.#byUid.values()) look(conduct);
    if (this.#crowd !== undefined) look(this.#crowd);
  }

  /** Settles all operations as late. */
  dispose(): void {
    this.#sweep?.cancel();
    this.forEach((conduct) => conduct.dispose());
  }

  #added(uid: Uid): UserConduct {
    this.#sweep ??= this.#reactor.after(SWEEP_INTERVAL_NS, () => this.#forgetReformed());
    if (this.#byUid.size >= MAX_USERS) return (this.#crowd ??= this.#newConduct());
    const conduct = this.#newConduct();
    this.#byUid.set(uid, conduct);
    return conduct;
  }

  #forgetReformed(): void {
    for (const [uid, conduct] of this.#byUid) if (conduct.forgetIfReformed()) this.#byUid.delete(uid);
    if (this.#crowd?.forgetIfReformed() === true) this.#crowd = undefined;
    const isEmpty = this.#byUid.size === 0 && this.#crowd === undefined;
    this.#sweep = isEmpty ? undefined : this.#reactor.after(SWEEP_INTERVAL_NS, () => this.#forgetReformed());
  }
}
