/** System calls that a stopped task makes for an engine. */
import { SIGNAL, stopSignal, systemCallByName } from '@usertrace/abi';
import { ERRNO, ErrnoError, type ErrnoName, errnoName } from '@usertrace/base';
import type { TaskParts } from './stop-reader.ts';
import type { Task } from './task.ts';

/** Calls that a task cannot make for somebody else: they make tasks, end them, or replace what is to be restored. */
const FORBIDDEN_CALLS = new Set(
  ['clone', 'clone3', 'fork', 'vfork', 'execve', 'execveat', 'exit', 'exit_group', 'rt_sigreturn'].map(
    (name) => systemCallByName(name)?.number,
  ),
);

/**
 * Makes a stopped task call the system; it is in a stop at the edge of user mode afterwards.
 *
 * @throws {ErrnoError} EINVAL for calls that make or end tasks, EAGAIN at a stop where registers are not those of user mode
 */
export function remoteCall(
  task: Task,
  { stop, step }: TaskParts,
  number: number,
  args: readonly bigint[],
): bigint {
  if (FORBIDDEN_CALLS.has(number))
    throw new ErrnoError(
      'EINVAL',
      `Cannot make task ${task.tid} call ${number}: it would make or end a task`,
    );
  const isPossible = stop.kind === 'trap' || stop.kind === 'group' || stop.kind === 'exit';
  if (!isPossible || step.isActive)
    throw new ErrnoError(
      'EAGAIN',
      `Cannot make task ${task.tid} call the system at this stop: interrupt it first`,
    );
  const answer = task.port.remoteCall(task.tid, number, args);
  if (answer.kind === 'answered') {
    stop.kind = stopSignal(answer.status) === SIGNAL.TRAP ? 'trap' : 'group';
    return answer.value;
  }
  const errno = answer.kind === 'failed' ? -answer.errno : ERRNO.EIO;
  throw new ErrnoError(errnoName(errno) as ErrnoName, `Cannot make task ${task.tid} call the system`);
}
