/**
 * What must be checked about the task that sent a request before its memory is touched or it is allowed something:
 * that it is still in the call it is said to be in, and what it is capable of.
 */
import type { Tid } from '@usertrace/base';
import { readTaskStatus, readTaskSystemCall, userNamespaceOf } from './procfs.ts';

/** capabilities(7). */
const CAP_SYS_ADMIN = 21n;
const CAP_PERFMON = 38n;

/**
 * What the kernel's perfmon_capable() answers: CAP_PERFMON or CAP_SYS_ADMIN in the initial user namespace. Here the
 * server's own stands for that. A task of any other namespace is not capable: what CapEff says of it holds in there
 * only.
 *
 * @param tid the task
 * @returns false too when it is gone or cannot be looked at
 */
export function perfmonCapable(tid: Tid): boolean {
  const status = readTaskStatus(tid);
  if (typeof status === 'string') return false;
  const capabilities = status.effectiveCapabilities;
  const has = (capability: bigint): boolean => ((capabilities >> capability) & 1n) === 1n;
  if (!has(CAP_PERFMON) && !has(CAP_SYS_ADMIN)) return false;
  const namespace = userNamespaceOf(tid);
  return namespace !== undefined && namespace === userNamespaceOf('self');
}

/**
 * `verified`: it is in that call. `elsewhere`: it is not, so the tid has become somebody else's, and the request's
 * sender is gone. `unknown`: the kernel does not let us see (no right to trace it, or it runs at this moment).
 */
export type CallerVerdict = 'verified' | 'elsewhere' | 'unknown';

/**
 * A request is queued a moment before its sender goes to sleep, and until it sleeps the kernel answers `running`. One
 * look costs about 5 µs. A signal may wake the sender at any time, and then it may have to wait for a CPU: what it
 * does stays unknown.
 */
const MAX_LOOKS = 20;

/**
 * Checks that a task waits in ioctl(fd, command, argument). A tid names somebody else as soon as its task is killed
 * and the number given out anew; a task that is in this very call with this very argument is the sender, or may be
 * answered like it. Only the arguments are compared: 32-bit programs number their system calls differently.
 *
 * @param tid the task that the request says it comes from
 * @param command the ioctl's command
 * @param argument its third argument, an address
 */
export function verifyCaller(tid: Tid, command: number, argument: bigint): CallerVerdict {
  const call = waitedForCall(tid);
  if (call === 'running' || call === 'unreadable') return 'unknown';
  if (call === 'gone' || call === 'outside') return 'elsewhere';
  const isSame =
    BigInt.asUintN(32, call.args[1] ?? 0n) === BigInt(command >>> 0) && call.args[2] === argument;
  return isSame ? 'verified' : 'elsewhere';
}

/** A write(2) or writev(2) that a task waits in. */
export interface WriteCall {
  /** Of its bytes, or of its vectors. */
  readonly address: bigint;
  /** Bytes of a write(2); 0 for a writev(2), whose vectors say it. */
  readonly size: number;
  /** Vectors of a writev(2). */
  readonly vectorCount: number | undefined;
}

/** System calls of x86-64 (asm/unistd_64.h). Those of 32-bit programs have other numbers. */
const WRITE = 1;
const WRITEV = 20;

/**
 * Looks what a task is writing.
 *
 * @param tid a task that waits for the answer to a write
 * @returns undefined when it is in another call, such as io_uring's, or cannot be looked at
 */
export function writeCallOf(tid: Tid): WriteCall | undefined {
  const call = waitedForCall(tid);
  if (typeof call === 'string') return undefined;
  const [, address = 0n, size = 0n] = call.args;
  if (call.number === WRITE) return { address, size: Number(size), vectorCount: undefined };
  return call.number === WRITEV ? { address, size: 0, vectorCount: Number(size) } : undefined;
}

/** The system call that a task waits in, or is about to. */
function waitedForCall(tid: Tid): ReturnType<typeof readTaskSystemCall> {
  let call = readTaskSystemCall(tid);
  for (let looks = 1; looks < MAX_LOOKS && call === 'running'; looks++) call = readTaskSystemCall(tid);
  return call;
}
