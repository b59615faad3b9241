/** What signals would do, and which SIGTRAPs are steps. */
import { defaultAction, SIGNAL, TRAP_CODE } from '@usertrace/abi';
import type { Disposition } from './actions.ts';

/**
 * What a signal does to a program (signal(7)).
 *
 * @param handled bit N-1 for each signal N that it handles
 * @param ignored bit N-1 for each that it ignores
 */
export function dispositionOf(signal: number, handled: bigint, ignored: bigint): Disposition {
  const bit = 1n << BigInt(signal - 1);
  if (signal === SIGNAL.KILL) return 'terminate';
  if (signal === SIGNAL.STOP) return 'stop';
  if ((handled & bit) !== 0n) return 'handle';
  if ((ignored & bit) !== 0n) return 'ignore';
  return defaultAction(signal);
}

/**
 * Whether a SIGTRAP's code is one that the kernel gives to steps: after an instruction, a branch, or a system call. A breakpoint
 * instruction has SI_KERNEL, a signal of a process 0 or less.
 */
export function isStepTrap(code: number): boolean {
  return code === TRAP_CODE.TRACE || code === TRAP_CODE.BRANCH || code === TRAP_CODE.BREAKPOINT;
}
