/** What the kernel is asked to stop a task for, so that engines can be told of their events. */
import { PTRACE_OPTION } from '@usertrace/abi';
import { Event } from './actions.ts';

export const SYSTEM_CALL_EVENTS: number = Event.SYSCALL_ENTRY | Event.SYSCALL_EXIT;

/** Which options the kernel has for a task is not known: they are set when it goes on. */
export const UNKNOWN_OPTIONS = -1;

/**
 * The options of PTRACE_SEIZE for what engines want: only what somebody wants costs stops.
 *
 * @param events bits of Event
 * @param isFiltered whether a seccomp filter picks its system calls
 */
export function optionsFor(events: number, isFiltered: boolean): number {
  let options: number = PTRACE_OPTION.TRACESYSGOOD | PTRACE_OPTION.TRACEEXEC;
  if ((events & Event.CLONE) !== 0)
    options |= PTRACE_OPTION.TRACECLONE | PTRACE_OPTION.TRACEFORK | PTRACE_OPTION.TRACEVFORK;
  if ((events & Event.EXIT) !== 0) options |= PTRACE_OPTION.TRACEEXIT;
  if (isFiltered) options |= PTRACE_OPTION.TRACESECCOMP;
  return options;
}
