/** How many of everything there can be, and who has how many. What goes over gets the kernel's errno. */

import { assert, type Uid } from '@usertrace/base';

/**
 * The bounds of the domain. Those of a user are for the user whose system it is; every other one may have a quarter, so
 * that none of them can take everything.
 */
export interface Limits {
  /** Events at a time: EMFILE. The kernel's `user_events_max`. */
  readonly events: number;
  /** Events that one user made, at a time: EMFILE. */
  readonly eventsPerUser: number;
  /** Open files of one user: ENOMEM. */
  readonly filesPerUser: number;
  /** Events one file refers to: ENOMEM. */
  readonly referencesPerFile: number;
  /** Address spaces at a time: ENOMEM; a fork beyond it inherits nothing. */
  readonly addressSpaces: number;
  /** Address spaces of one user: likewise. */
  readonly addressSpacesPerUser: number;
  /** Enable bits registered in one address space: ENOMEM. */
  readonly enablersPerAddressSpace: number;
  /** Enable bits of one user, over all its address spaces: ENOMEM; a fork beyond it inherits nothing. */
  readonly enablersPerUser: number;
  /**
   * Words whose page hung that wait for another try at a time, each of which takes a timer. A word beyond it stays as it
   * is until its event's next change.
   */
  readonly lateRetries: number;
  /** Such words of one user: likewise. */
  readonly lateRetriesPerUser: number;
  /** Such words of one address space: likewise. */
  readonly lateRetriesPerAddressSpace: number;
}

/** The kernel's number of events; the others are what 1 GiB holds, far above what programs use. */
export const DEFAULT_LIMITS: Limits = {
  events: 32_768,
  eventsPerUser: 32_768,
  filesPerUser: 65_536,
  referencesPerFile: 32_768,
  addressSpaces: 65_536,
  addressSpacesPerUser: 65_536,
  enablersPerAddressSpace: 65_536,
  enablersPerUser: 1_048_576,
  lateRetries: 65_536,
  lateRetriesPerUser: 32_768,
  lateRetriesPerAddressSpace: 32,
};

type Countable =
  | 'eventsPerUser'
  | 'filesPerUser'
  | 'addressSpacesPerUser'
  | 'enablersPerUser'
  | 'lateRetriesPerUser';
type Account = Record<Countable, number>;

/** What each user has. Users who have nothing are forgotten. */
export class Accounts {
  readonly #limits: Limits;
  readonly #owner: Uid;
  readonly #accounts = new Map<Uid, Account>();

  /** @param owner the user whose system it is */
  constructor(limits: Limits, owner: Uid) {
    this.#limits = limits;
    this.#owner = owner;
  }

  /**
   * Counts things for a user, if they fit the bound.
   *
   * @returns whether they did
   */
  charge(uid: Uid, what: Countable, count = 1): boolean {
    const account = this.#accounts.get(uid) ?? emptyAccount();
    const bound = uid === this.#owner ? this.#limits[what] : Math.ceil(this.#limits[what] / 4);
    if (account[what] + count > bound) return false;
    account[what] += count;
    this.#accounts.set(uid, account);
    return true;
  }

  /** Counts things off that were charged. */
  refund(uid: Uid, what: Countable, count = 1): void {
    const account = this.#accounts.get(uid);
    assert(account !== undefined && account[what] >= count, `user ${uid} had ${count} of ${what}`);
    account[what] -= count;
    if (Object.values(account).every((left) => left === 0)) this.#accounts.delete(uid);
  }
}

function emptyAccount(): Account {
  return {
    eventsPerUser: 0,
    filesPerUser: 0,
    addressSpacesPerUser: 0,
    enablersPerUser: 0,
    lateRetriesPerUser: 0,
  };
}
