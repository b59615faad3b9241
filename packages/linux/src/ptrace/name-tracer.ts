/** Lets a process of our choice trace this one, where Yama would not (PR_SET_PTRACER(2const), Documentation/admin-guide/LSM/Yama.rst). */
import { libc, SYSTEM_CALL } from '../bindings.ts';

const PR_SET_PTRACER = 0x5961_6d61;

/**
 * Names a process that may trace this one and what it executes. Where there is no Yama, nothing has to be named.
 *
 * @param pid its id
 */
export function nameTracer(pid: number): void {
  libc().syscall(SYSTEM_CALL.prctl, PR_SET_PTRACER, pid, 0, 0, 0, 0);
}
