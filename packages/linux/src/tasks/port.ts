/**
 * The interfaces between the tracker and the world: what it asks the system (`TaskPort`, `EventSource`), and whom it
 * tells what it found out (`TaskSink`). system-tasks.ts and connector.ts are the real ones.
 */
import type { Nanoseconds, Pid, Tid } from '@usertrace/base';
import type { ConnectorBatch } from './connector.ts';
import type { Absence } from './procfs.ts';

/** A living task, looked at once. */
export interface TaskSight {
  /** When it was made, in ticks since the system started. */
  readonly startTicks: number;
  /** The process that is its parent now: the one that made it, or who adopted it when that ended. */
  readonly parentPid: Pid;
  /** The fingerprint of its program image; undefined when it cannot be known. */
  readonly image: string | undefined;
  /** Whether it has execed since it was made. It is said of the memory that was opened before the look, or sooner. */
  readonly hasExeced: boolean;
}

/** What the tracker asks the system. */
export interface TaskPort {
  /** Looks at a task. `gone` also for one that has ended and waits to be reaped, or has no memory any more. */
  look(tid: Tid): TaskSight | Absence;
  /** The process that a task is a thread of. */
  processOf(tid: Tid): Pid | Absence;
  /** All processes. */
  processes(): readonly Pid[];
  /** All threads of a process. */
  threads(pid: Pid): readonly Tid[];
  /** A number that changes whenever a task is made: the id given out last. */
  newestTid(): number;
  /** Whether two tasks use the same memory; false also when one of them is gone. */
  sharesMemory(first: Tid, second: Tid): boolean;
  /** Calls back, once, when a process has ended. Undefined when it has already, or that cannot be known. */
  watchExit(pid: Pid, ended: () => void): { cancel(): void } | undefined;
  /** The instant now. */
  now(): Nanoseconds;
  /** An instant as `TaskSight.startTicks` counts. */
  ticksAt(instant: Nanoseconds): number;
}

/** Where events come from in the order in which they happened. */
export interface EventSource {
  drain(): ConnectorBatch;
  /**
   * A process has registered something: events of it and of its descendants are wanted from now on. A source that tells of all
   * processes anyway has no use for this.
   */
  follow?(pid: Pid): void;
}

/**
 * Who wants to know what happened to tasks that have registered something: the domain, in the kernel's terms (there:
 * user_events_fork, user_events_execve, user_events_exit).
 */
export interface TaskSink {
  /** Whether the task has registered something, or inherited it. */
  hasAddressSpace(tid: Tid): boolean;
  /**
   * A task that has registered something made another. Afterwards the child has an address space, unless a limit
   * forbids; also when its memory cannot be opened any more, because it may have left children.
   *
   * @param isStillChild to be asked after the child's memory was opened: whether that is the memory it was made with,
   *   and not that of another image by now
   */
  taskForked(parent: Tid, child: Tid, sharesMemory: boolean, isStillChild: () => boolean): void;
  taskExeced(tid: Tid): void;
  taskExited(tid: Tid): void;
}
