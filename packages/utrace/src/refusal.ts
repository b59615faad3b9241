/** Why a task cannot be attached to: found out from /proc, and said in a sentence. */
import { ErrnoError, type ErrnoName, errnoName } from '@usertrace/base';
import type { PtracePort } from './port.ts';

const YAMA_REASONS: Readonly<Record<number, string>> = {
  1: 'kernel.yama.ptrace_scope is 1: only descendants may be traced, and processes that allow it; start the program with spawn() or `usertrace watch -- CMD`, be root, or set it to 0',
  2: 'kernel.yama.ptrace_scope is 2: only root may trace',
  3: 'kernel.yama.ptrace_scope is 3: nobody may trace until the next boot',
};
const OTHER_REASON =
  'it belongs to another user, runs a program that this user may not read, or has rights that this process lacks; be root, with CAP_SYS_PTRACE';
const KERNEL_THREAD_REASON = 'it is a thread of the kernel, which nobody may trace';

/**
 * Checks what ptrace does not refuse by itself.
 *
 * @throws {ErrnoError} ESRCH when there is no such task, EINVAL for this process, EBUSY for one that Node waits for
 */
export function mustBeTraceable(port: PtracePort, tid: number): void {
  const status = port.status(tid);
  if (status === undefined) throw new ErrnoError('ESRCH', `Cannot attach to task ${tid}: there is none`);
  if (status.tgid === port.ownPid)
    throw new ErrnoError('EINVAL', 'Cannot attach to this process: a process does not trace itself');
  if (status.parentPid === port.ownPid && !port.isChild(status.tgid))
    throw new ErrnoError(
      'EBUSY',
      `Cannot attach to process ${status.tgid}: Node started it and would take its stops for its end; start it with spawn() of @usertrace/utrace`,
    );
}

/**
 * Checks that a number is a process's, and not one of its other threads'.
 *
 * @throws {ErrnoError} ESRCH when there is no such process, EINVAL for a thread's number and for what can be none
 */
export function mustBeProcess(port: PtracePort, pid: number): void {
  if (!Number.isInteger(pid) || pid <= 0)
    throw new ErrnoError('EINVAL', `Cannot attach to process ${pid}: that is no process id`);
  const status = port.status(pid);
  if (status === undefined) throw new ErrnoError('ESRCH', `Cannot attach to process ${pid}: there is none`);
  if (status.tgid !== pid)
    throw new ErrnoError(
      'EINVAL',
      `Cannot attach to process ${pid}: it is a thread of process ${status.tgid}`,
    );
}

/**
 * Why a task could not be seized.
 *
 * @param errno what ptrace answered
 */
export function refusal(port: PtracePort, tid: number, errno: number): ErrnoError {
  const name = errnoName(errno) as ErrnoName;
  const status = port.status(tid);
  if (name === 'ESRCH' || status === undefined)
    return new ErrnoError('ESRCH', `Cannot attach to task ${tid}: it has ended`);
  if (status.state === 'Z' || status.state === 'X')
    return new ErrnoError('ESRCH', `Cannot attach to task ${tid}: it is a zombie`);
  if (name !== 'EPERM') return new ErrnoError(name, `Cannot attach to task ${tid}`);
  if (status.tracerPid !== 0) {
    const tracer = port.status(status.tracerPid)?.name ?? '?';
    return new ErrnoError(
      'EPERM',
      `Cannot attach to task ${tid}: ${tracer} (process ${status.tracerPid}) traces it; end that first`,
    );
  }
  const reason = status.isKernelThread
    ? KERNEL_THREAD_REASON
    : (YAMA_REASONS[port.yamaScope() ?? 0] ?? OTHER_REASON);
  return new ErrnoError('EPERM', `Cannot attach to task ${tid}: ${reason}`);
}

/**
 * The process of a pidfd.
 *
 * @throws {ErrnoError} EBADF when it is none, ESRCH when the process ended or is not visible
 */
export function processOf(port: PtracePort, pidfd: number): number {
  const pid = port.pidOf(pidfd);
  if (pid === undefined) throw new ErrnoError('EBADF', `Cannot attach: descriptor ${pidfd} is no pidfd`);
  if (pid <= 0)
    throw new ErrnoError(
      'ESRCH',
      `Cannot attach: the process of pidfd ${pidfd} has ended or is not visible from this pid namespace`,
    );
  return pid;
}
