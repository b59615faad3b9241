/** A stop at which an address space can be changed, and what it is to become. */

import { ErrnoError } from '@usertrace/base';
import type { Examination, Task } from '@usertrace/utrace';
import type { CountedProbe } from './counters.ts';
import type { ProbedPlace } from './probed-places.ts';

/** A stop at which an address space can be changed. */
export interface SpaceStop {
  /** At a stopped thread of it, where system calls can be made. */
  readonly look: Examination;
  /** Of a process that has it. */
  readonly pid: number;
  /** Whether that process has a handler for SIGILL. */
  readonly isSignalHandled: boolean;
  /** Told of a probe that cannot be in this memory, and why. */
  readonly refused: (reason: unknown) => void;
  /** If all threads that run in it stand still: then jumps can come and go. */
  readonly still?: StillThreads;
}

/** All threads of an address space, which stand still. */
export interface StillThreads {
  readonly tasks: readonly Task[];
  /** The one that can call the system. */
  readonly tid: number;
  /** Whether it can be tried again when a thread is in the way; else the place becomes a breakpoint. */
  readonly canRetry: boolean;
}

/** What should be in an address space. */
export interface WantedProbes {
  readonly probes: readonly ProbedPlace[];
  readonly counters: readonly CountedProbe[];
  /** Whether calls are followed to where they return. */
  readonly hasCalls: boolean;
  /** Nobody will trace it any more: the program gets back what it had. */
  readonly isLast: boolean;
}

/** Whether something could not be done only because of where the thread stands, or because it ran on. */
export function isWrongStop(error: unknown): boolean {
  return error instanceof ErrnoError && error.code === 'EAGAIN';
}
