/** Whether a process can have jumps at all: what its processor has, and what the process has asked of the kernel. */

import { readFileSync } from 'node:fs';
import { AUXILIARY, auxiliaryVector } from '../process/auxiliary-vector.ts';

/** Why none of a process's probes can be a jump. */
export type ProcessObstacle =
  /** It has a shadow stack, which objects to calls that were moved. */
  | 'shadow-stack'
  /** A seccomp filter might kill it for the system calls that we would make in its name. */
  | 'seccomp'
  /** The processor, or the kernel, lacks rdtscp, rdfsbase or a time stamp counter that runs evenly. */
  | 'processor';

const CPU_FLAGS = ['rdtscp', 'fsgsbase', 'constant_tsc', 'nonstop_tsc'];
/** The kernel lets programs use rdfsbase (HWCAP2_FSGSBASE). */
const HWCAP2_FSGSBASE = 2n;

let hasFlags: boolean | undefined;

/**
 * @param pid of a process that lives
 * @returns what is in the way, undefined when nothing is
 * @throws {Error} ENOENT or ESRCH when it is gone
 */
export function processObstacle(pid: number): ProcessObstacle | undefined {
  hasFlags ??= readCpuFlags();
  if (!hasFlags || !canReadFsBase(pid)) return 'processor';
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  if (/^Seccomp:\t[^0]/mu.test(status)) return 'seccomp';
  return /^x86_Thread_features:.*\bshstk\b/mu.test(status) ? 'shadow-stack' : undefined;
}

function readCpuFlags(): boolean {
  const flags = /^flags\s*:(.*)$/mu.exec(readFileSync('/proc/cpuinfo', 'latin1'))?.[1]?.split(' ') ?? [];
  return CPU_FLAGS.every((flag) => flags.includes(flag));
}

function canReadFsBase(pid: number): boolean {
  const capabilities = auxiliaryVector(pid).get(AUXILIARY.capabilities) ?? 0n;
  return (capabilities & HWCAP2_FSGSBASE) !== 0n;
}
