/** What a stopped program does with SIGILL, asked and changed by system calls in its name. */

import { systemCallNumber } from '@usertrace/abi';
import { ErrnoError } from '@usertrace/base';
import type { Examination } from '@usertrace/utrace';
import { decodeSignalAction, SIGILL, SIGNAL_ACTION_BYTES, type SignalAction } from './signal-action.ts';

const CALL = {
  mmap: systemCallNumber('mmap'),
  munmap: systemCallNumber('munmap'),
  rtSigaction: systemCallNumber('rt_sigaction'),
} as const;
const SIGNAL = BigInt(SIGILL);
const MASK_BYTES = 8n;
const PROT_READ_WRITE = 3n;
const MAP_PRIVATE_ANONYMOUS = 0x22n;
const PAGE_BYTES = 4_096n;

/**
 * What the program does with SIGILL. It writes the answer into a page that is there for this only.
 *
 * @param look at a stop where system calls can be made
 * @throws {ErrnoError} ENOMEM when the program cannot map a page; EAGAIN at a wrong stop
 */
export function illAction(look: Examination): SignalAction {
  const page = look.systemCall(CALL.mmap, [0n, PAGE_BYTES, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1n, 0n]);
  if (page < 0n) mustAnswer(page, 0n);
  try {
    mustAnswer(look.systemCall(CALL.rtSigaction, [SIGNAL, 0n, page, MASK_BYTES]), 0n);
    return decodeSignalAction(look.read(page, SIGNAL_ACTION_BYTES));
  } finally {
    look.systemCall(CALL.munmap, [page, PAGE_BYTES]);
  }
}

/**
 * Has the program do something else with SIGILL.
 *
 * @param look at a stop where system calls can be made
 * @param address of the action, in the program's memory
 * @throws {ErrnoError} ENOMEM when the kernel refuses; EAGAIN at a wrong stop
 */
export function setIllAction(look: Examination, address: number): void {
  mustAnswer(look.systemCall(CALL.rtSigaction, [SIGNAL, BigInt(address), 0n, MASK_BYTES]), 0n);
}

/** @throws {ErrnoError} ENOMEM when a system call in the program's name has not answered what it must */
export function mustAnswer(answer: bigint, expected: bigint): void {
  if (answer !== expected)
    throw new ErrnoError('ENOMEM', `Cannot protect the program from its breakpoints: it answered ${answer}`);
}
