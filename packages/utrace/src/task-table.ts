/**
 * The tasks that one thread traces, by number. A number is a task's from its seizing to its end or its letting go; an exec moves
 * a task to its process's number.
 */
import type { PtracePort } from './port.ts';
import { Task } from './task.ts';
import type { TaskHost } from './task-host.ts';
import { Waiters } from './waiters.ts';

/** Tasks traced at once; the kernel's own limit on threads is of this order. */
const MAX_TASKS = 65_536;

/** Traced tasks. */
export class TaskTable {
  readonly #host: TaskHost;
  readonly #port: PtracePort;
  readonly #tasks = new Map<number, Task>();
  readonly #emptyWaiters = new Waiters();

  constructor(host: TaskHost, port: PtracePort) {
    this.#host = host;
    this.#port = port;
  }

  get size(): number {
    return this.#tasks.size;
  }

  get isFull(): boolean {
    return this.#tasks.size >= MAX_TASKS;
  }

  get(tid: number): Task | undefined {
    return this.#tasks.get(tid);
  }

  values(): Iterable<Task> {
    return this.#tasks.values();
  }

  /** The threads of a process. */
  threadsOf(tgid: number): Task[] {
    return [...this.#tasks.values()].filter((task) => task.tgid === tgid);
  }

  /** @param options PTRACE_OPTION bits that the kernel has, or UNKNOWN_OPTIONS */
  add(tid: number, tgid: number, state: 'running' | 'stopped', options: number): Task {
    const task = new Task(this.#host, tid, tgid, state, options);
    this.#tasks.set(tid, task);
    this.#port.watch();
    return task;
  }

  rename(task: Task, tid: number): void {
    this.#tasks.delete(task.tid);
    task.tid = tid;
    this.#tasks.set(tid, task);
  }

  delete(task: Task): void {
    if (this.#tasks.get(task.tid) === task) this.#tasks.delete(task.tid);
  }

  /** Resolves when nothing is traced. */
  async untilEmpty(): Promise<void> {
    while (this.#tasks.size > 0) await this.#emptyWaiters.untilWoken();
  }

  /** Nothing is traced any more. */
  wakeEmpty(): void {
    this.#port.unwatch();
    this.#emptyWaiters.wake();
  }
}
