/**
 * What waitpid(2) says of a traced task, in one number: `0xEESS7f` for a stop with signal SS and ptrace event EE,
 * `0xCC00` for an exit with code CC, `0xNN` for a death by signal NN, with 0x80 when it dumped core (wait(2), ptrace(2)).
 */

/** Options of waitpid(2), as the signed int that it takes: do not sleep; whatever sort of child; only those of clone. */
export const WAIT_OPTION = { NOHANG: 1, ALL: 0x4000_0000, CLONE: -0x8000_0000 } as const;

/** What a stop's upper bits name: PTRACE_EVENT_* of linux/ptrace.h. */
export const PTRACE_EVENT = {
  FORK: 1,
  VFORK: 2,
  CLONE: 3,
  EXEC: 4,
  VFORK_DONE: 5,
  EXIT: 6,
  SECCOMP: 7,
  STOP: 128,
} as const;

/** The signal of a system call stop: SIGTRAP with the bit of PTRACE_O_TRACESYSGOOD. */
export const SYSTEM_CALL_STOP: number = 5 | 0x80;

/** Whether the status tells of a stop; otherwise the task is dead. */
export function isStopStatus(status: number): boolean {
  return (status & 0xff) === 0x7f;
}

/** The signal of a stop. */
export function stopSignal(status: number): number {
  return (status >> 8) & 0xff;
}

/** The ptrace event of a stop, or 0. */
export function stopEvent(status: number): number {
  return status >> 16;
}

/** How a task ended. */
export interface TaskEnd {
  /** The exit code, when it ended by exit(2). */
  readonly code: number | undefined;
  /** The signal that ended it. */
  readonly signal: number | undefined;
  readonly dumpedCore: boolean;
}

/** How a dead task ended. */
export function taskEnd(status: number): TaskEnd {
  const signal = status & 0x7f;
  if (signal === 0) return { code: (status >> 8) & 0xff, signal: undefined, dumpedCore: false };
  return { code: undefined, signal, dumpedCore: (status & 0x80) !== 0 };
}

/** The status of a stop, for those who play the kernel. */
export function stopStatus(signal: number, event: number = 0): number {
  return (event << 16) | (signal << 8) | 0x7f;
}
