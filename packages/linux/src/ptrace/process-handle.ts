/**
 * A process by its pidfd (pidfd_open(2)): the handle that never means another process, whoever has its number by now.
 * It is held while a process is attached to; from then on ptrace itself holds the number.
 */
import { readFileSync } from 'node:fs';
import { failure, libc, SYSTEM_CALL, systemCallError } from '../bindings.ts';
import { closeDescriptor } from '../descriptor.ts';

/** A process that may have ended, but was not replaced. Its owner closes it. */
export class ProcessHandle {
  readonly #fd: number;

  /**
   * @param pid a process id in our pid namespace
   * @throws {ErrnoError} ESRCH when there is no such process, EINVAL when it is a thread's id
   */
  constructor(pid: number) {
    const fd = failure(libc().syscall(SYSTEM_CALL.pidfd_open, pid, 0, 0, 0, 0, 0));
    if (fd < 0) throw systemCallError(-fd, `open process ${pid}`);
    this.#fd = fd;
  }

  /** Whether it was not waited for yet: so long its number is its own. */
  isThere(): boolean {
    return libc().syscall(SYSTEM_CALL.pidfd_send_signal, this.#fd, 0, 0, 0, 0, 0) === 0;
  }

  close(): void {
    closeDescriptor(this.#fd);
  }
}

/**
 * The process that a pidfd of the caller's refers to (proc_pid_fdinfo(5), field Pid).
 *
 * @param pidfd an open pidfd
 * @returns its number in our pid namespace; -1 when it ended, 0 when it is not visible here; undefined when this is no
 *   pidfd
 */
export function pidOfHandle(pidfd: number): number | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/self/fdinfo/${pidfd}`, 'latin1');
  } catch {
    return undefined;
  }
  const found = /^Pid:\s*(-?\d+)$/m.exec(text);
  return found === null ? undefined : Number(found[1]);
}
