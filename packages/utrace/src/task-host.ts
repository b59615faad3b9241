/** What a task needs of those around it; Utrace is that. */
import type { TaskEnd } from '@usertrace/abi';
import type { Engine } from './engine.ts';
import type { Deferred, PtracePort } from './port.ts';
import type { Task } from './task.ts';

/** The tasks' surroundings. */
export interface TaskHost {
  readonly port: PtracePort;
  readonly deadlineMs: number;
  after(delayMs: number, work: () => void): Deferred;
  failed(engine: Engine, reason: unknown): void;
  /** It suspended its report for a promise. */
  suspended(): void;
  /** It runs from now on, or does not. */
  runningChanged(isRunning: boolean): void;
  /** It has no engines and is let go: false when it must stay traced all the same. */
  mayLeave(task: Task): boolean;
  /** Whether its stop was told just now. */
  isHandling(task: Task): boolean;
  /** Something was told of a task. */
  handle(tid: number, status: number): void;
  /** It runs, and is let go when it stops. */
  leaving(task: Task): void;
  /** A request answered that it is not there: it was killed, or another task has its number after an exec. */
  vanished(task: Task): void;
  /** An engine was detached, and is none of its task's any more. */
  dropped(engine: Engine): void;
  /** It died, with this end, or was let go; its number is free. */
  gone(task: Task, end: TaskEnd | undefined): void;
}
