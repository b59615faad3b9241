/** Whether this user may trace a process, found out without touching it. */
import { closeSync, openSync } from 'node:fs';
import { ErrnoError } from '@usertrace/base';
import { traceeStatus, yamaScope } from '@usertrace/linux';

/**
 * Why a process cannot be probed.
 *
 * Opening /proc/PID/mem asks the kernel what ptrace(2) would ask, Yama included (proc_pid_mem(5)).
 *
 * @returns undefined when it can
 */
export function whyUnreachable(
  pid: number,
): { readonly code: 'ESRCH' | 'EPERM'; readonly reason: string } | undefined {
  const status = traceeStatus(pid);
  if (status === undefined || status.state === 'Z' || status.state === 'X')
    return { code: 'ESRCH', reason: 'there is no such process, or it has ended' };
  if (status.tracerPid !== 0 && !isTracedHere(pid)) {
    const name = traceeStatus(status.tracerPid)?.name ?? '?';
    return { code: 'EPERM', reason: `${name} (process ${status.tracerPid}) traces it; end that first` };
  }
  try {
    closeSync(openSync(`/proc/${pid}/mem`, 'r'));
    return undefined;
  } catch {
    const isYama = (yamaScope() ?? 0) > 0;
    const reason = isYama
      ? `kernel.yama.ptrace_scope is ${yamaScope()}: set it to 0, be root, or start the program with \`usertrace record -- CMD\``
      : 'it belongs to another user, or runs a program that this user may not read; be root';
    return { code: 'EPERM', reason };
  }
}

/** Whether this process is the tracer of another's first thread. */
export function isTracedHere(pid: number): boolean {
  const tracer = traceeStatus(pid)?.tracerPid ?? 0;
  // A thread is named.
  return tracer !== 0 && traceeStatus(tracer)?.tgid === process.pid;
}

/** @throws {ErrnoError} ESRCH or EPERM when a process cannot be probed */
export function mustBeReachable(pid: number): void {
  const unreachable = whyUnreachable(pid);
  if (unreachable !== undefined)
    throw new ErrnoError(unreachable.code, `Cannot probe process ${pid}: ${unreachable.reason}`);
}
