/** System calls that change a program's memory, made by a stopped thread of it. */

import { ErrnoError, errnoName, isErrnoName } from '@usertrace/base';
import type { Examination } from '@usertrace/utrace';

const ERRNO_MAX = 4095n;

/**
 * Makes a stopped thread call the system.
 *
 * @param doing for the message
 * @returns the answer
 * @throws {ErrnoError} what it answered; EAGAIN where no call can be made
 */
export function remoteCall(
  look: Examination,
  number: number,
  args: readonly bigint[],
  doing: string,
): bigint {
  const answer = look.systemCall(number, args);
  if (answer >= 0n || answer < -ERRNO_MAX) return answer;
  const name = errnoName(Number(-answer));
  throw new ErrnoError(isErrnoName(name) ? name : 'EIO', `Cannot ${doing} in the program`);
}
