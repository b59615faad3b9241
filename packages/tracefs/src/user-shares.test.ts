import { Uid } from '@usertrace/base';
import { describe, expect, test } from 'vitest';
import { UserShares } from './user-shares.ts';

const OWNER = Uid(0);
const ALICE = Uid(1000);

function takeAll(shares: UserShares, uid: Uid): number {
  let count = 0;
  while (shares.take(uid)) count++;
  return count;
}

describe('UserShares', () => {
  test('gives the owner everything, and another user a quarter', () => {
    expect(takeAll(new UserShares(100, OWNER), OWNER)).toBe(100);
    expect(takeAll(new UserShares(100, OWNER), ALICE)).toBe(25);
  });

  test('keeps a quarter for the owner from any number of other users', () => {
    const shares = new UserShares(100, OWNER);
    const taken = [1000, 1001, 1002, 1003, 1004].map((uid) => takeAll(shares, Uid(uid)));
    expect(taken).toEqual([25, 25, 25, 0, 0]);
    expect(takeAll(shares, OWNER)).toBe(25);
  });

  test('takes several at once, or none', () => {
    const shares = new UserShares(100, OWNER);
    expect(shares.take(ALICE, 26)).toBe(false);
    expect(shares.take(ALICE, 20)).toBe(true);
    expect(shares.take(ALICE, 6)).toBe(false);
    expect(shares.take(OWNER, 81)).toBe(false);
    expect(shares.take(OWNER, 80)).toBe(true);
  });

  test('can give what was given back', () => {
    const shares = new UserShares(100, OWNER);
    takeAll(shares, ALICE);
    shares.giveBack(ALICE, 10);
    expect(takeAll(shares, ALICE)).toBe(10);
    shares.giveBack(ALICE, 25);
    expect(takeAll(shares, OWNER)).toBe(100);
    expect(() => shares.giveBack(ALICE)).toThrow('user 1000 had 1');
  });
});
