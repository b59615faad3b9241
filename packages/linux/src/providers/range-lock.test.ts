import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isByteLocked, tryLockByte, unlockByte } from './range-lock.ts';

const FAR = 0x100_0000_0000;
let folder: string;
let fds: number[];
const open = (): number => {
  const fd = openSync(join(folder, 'locked'), 'a+');
  fds.push(fd);
  return fd;
};

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'usertrace-locks-'));
  fds = [];
});
afterEach(() => {
  for (const fd of fds) closeSync(fd);
  rmSync(folder, { recursive: true });
});

describe('a lock of a byte', () => {
  it('is held by one open file, which others see and it does not', () => {
    const [holder, other] = [open(), open()];
    expect(tryLockByte(holder, FAR)).toBe(true);
    expect(tryLockByte(other, FAR)).toBe(false);
    expect(isByteLocked(other, FAR)).toBe(true);
    expect(isByteLocked(holder, FAR)).toBe(false);
    expect(isByteLocked(other, FAR + 1)).toBe(false);
    unlockByte(holder, FAR);
    expect(isByteLocked(other, FAR)).toBe(false);
    expect(tryLockByte(other, FAR)).toBe(true);
  });

  it('is free when its open file is closed', () => {
    const other = open();
    const holder = openSync(join(folder, 'locked'), 'a+');
    expect(tryLockByte(holder, 1)).toBe(true);
    closeSync(holder);
    expect(isByteLocked(other, 1)).toBe(false);
  });

  it('says when there can be none', () => {
    expect(() => tryLockByte(-1, 0)).toThrow(/Cannot lock byte 0 of descriptor -1 \(EBADF\)/);
  });
});
