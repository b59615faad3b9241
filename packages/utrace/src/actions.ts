/**
 * What engines can be told of, and what they can answer. The words and their order are utrace's (Roland McGrath,
 * `include/linux/utrace.h`, 2009).
 */
import { ErrnoError } from '@usertrace/base';

/** Kinds of events, as bits. */
export const Event = {
  /** The task is stopped and can be examined; made before each other event's callback, and alone when asked for. */
  QUIESCE: 0x1,
  /** A signal is about to be delivered. */
  SIGNAL: 0x2,
  /** It made a process or a thread. */
  CLONE: 0x4,
  /** It executed another program. */
  EXEC: 0x8,
  /** It is about to end, and still has all of its state. */
  EXIT: 0x10,
  /** It is dead. */
  DEATH: 0x20,
  /** Its number is free: the last callback. */
  REAP: 0x40,
  SYSCALL_ENTRY: 0x80,
  SYSCALL_EXIT: 0x100,
  /** It stopped by job control, or goes on. */
  JOB_CONTROL: 0x200,
} as const;

/** All bits of Event. */
export const ALL_EVENTS = 0x3ff;

/** @throws {ErrnoError} EINVAL for bits that are none of Event */
export function mustBeEvents(events: number): void {
  if ((events & ~ALL_EVENTS) !== 0)
    throw new ErrnoError('EINVAL', `Cannot report events 0x${events.toString(16)}`);
}

/** What an engine wants of its task. Of several engines' wishes the lowest wins. */
export const Action = {
  /** Stay stopped, until this engine asks for something else. */
  STOP: 0,
  /** Go on, interrupt what the task waits for, and report soon. */
  INTERRUPT: 1,
  /** Go on, and report soon. */
  REPORT: 2,
  /** Go on for one instruction. */
  SINGLESTEP: 3,
  /** Go on until the next branch that is taken. */
  BLOCKSTEP: 4,
  RESUME: 5,
  /** Take this engine away. */
  DETACH: 6,
} as const;

/**
 * What becomes of a signal; added to an Action with `|`. The last callback that says so decides; without one the signal is
 * delivered, unless it only tells of a step that an engine asked for.
 */
export const SignalAction = {
  DELIVER: 0x10,
  IGNORE: 0x20,
  /** The task's process is killed. */
  KILL: 0x30,
  /** It is stopped, as by SIGSTOP. */
  STOP: 0x40,
} as const;

/** What becomes of a system call; added to an Action with `|`. The last callback that says so decides. */
export const SystemCallAction = {
  RUN: 0x50,
  /** It is not made, and answers ENOSYS unless a callback at its exit sets another result. */
  ABORT: 0x60,
} as const;

export const ACTION_MASK = 0x0f;
export const DISPOSITION_MASK = 0xf0;

/** What a callback answers: an Action, with a disposition; nothing to leave all as it is. */
// oxlint-disable-next-line typescript/no-invalid-void-type -- a callback that returns nothing is the common one
export type Verdict = number | void;

/** What a signal would do if nobody interfered. */
export type Disposition = 'handle' | 'ignore' | 'terminate' | 'core' | 'stop' | 'continue';
