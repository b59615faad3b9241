/**
 * How many of something each user has, of a number that is bounded in all. The user whose server it is may have all of
 * it, any other one a quarter, and all others together three quarters: so no user can take everything from the rest,
 * and whatever they do a quarter is left for the owner. Whoever counts things holds one UserShares for each kind.
 */

import { assert, type Uid } from '@usertrace/base';

export class UserShares {
  readonly #bound: number;
  readonly #owner: Uid;
  readonly #countByUid = new Map<Uid, number>();
  #ownersCount = 0;
  #othersCount = 0;

  /**
   * @param bound how many there can be in all
   * @param owner the user whose server it is
   */
  constructor(bound: number, owner: Uid) {
    this.#bound = bound;
    this.#owner = owner;
  }

  /**
   * Counts things for a user, if they fit the bounds. Who takes some gives them back.
   *
   * @returns whether they did
   */
  take(uid: Uid, count = 1): boolean {
    if (this.#ownersCount + this.#othersCount + count > this.#bound) return false;
    if (uid === this.#owner) {
      this.#ownersCount += count;
      return true;
    }
    const usersCount = (this.#countByUid.get(uid) ?? 0) + count;
    if (usersCount > Math.ceil(this.#bound / 4)) return false;
    if (this.#othersCount + count > Math.floor((this.#bound * 3) / 4)) return false;
    this.#othersCount += count;
    if (usersCount > 0) this.#countByUid.set(uid, usersCount);
    return true;
  }

  /** Counts things off that were taken. */
  giveBack(uid: Uid, count = 1): void {
    if (uid === this.#owner) {
      assert(this.#ownersCount >= count, `the owner had ${count}`);
      this.#ownersCount -= count;
      return;
    }
    const left = (this.#countByUid.get(uid) ?? 0) - count;
    assert(left >= 0, `user ${uid} had ${count}`);
    this.#othersCount -= count;
    if (left === 0) this.#countByUid.delete(uid);
    else this.#countByUid.set(uid, left);
  }
}
