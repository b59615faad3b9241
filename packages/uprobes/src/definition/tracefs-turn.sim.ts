/** Turns at the kernel's `error_log`, of which there is one: tests of several processes ask it at the same time. */

import { tryLockByte } from '@usertrace/linux';
import { closeSync, openSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const DEADLINE_MS = 60_000;
const PAUSE_MS = 2;

/**
 * Does something while nobody else does, and waits for that.
 *
 * @throws {Error} when others do not end in a minute
 */
export function inTurn<Result>(use: () => Result): Result {
  const file = openSync(join(tmpdir(), 'usertrace-tracefs-turn'), 'a');
  try {
    const deadline = performance.now() + DEADLINE_MS;
    while (!tryLockByte(file, 0)) {
      if (performance.now() > deadline) throw new Error('Cannot have a turn at error_log: others do not end');
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS);
    }
    return use();
  } finally {
    closeSync(file);
  }
}
