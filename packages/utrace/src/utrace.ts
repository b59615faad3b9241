/**
 * The tasks that one thread traces: by number, from the seizing to the end or the letting go. It is told of stops by the port,
 * tells each task of its own, brings children and their parents together, and follows exec from one number to another.
 */
import { isStopStatus, PTRACE_EVENT, stopEvent, type TaskEnd, taskEnd } from '@usertrace/abi';
import { ErrnoError } from '@usertrace/base';
import type { LaunchOptions, StopListener } from '@usertrace/linux';
import { Event, mustBeEvents } from './actions.ts';
import { untilOnlyDead } from './closing.ts';
import { Departures } from './departures.ts';
import type { Callbacks, Engine } from './engine.ts';
import { Newborns } from './newborns.ts';
import type { Clock, Deferred, PtracePort } from './port.ts';
import { ProcessEngine, type ProcessOptions } from './process-engine.ts';
import { mustBeProcess, processOf } from './refusal.ts';
import { seizeTask, seizeThreads } from './seizing.ts';
import type { Task } from './task.ts';
import type { TaskHost } from './task-host.ts';
import { TaskTable } from './task-table.ts';
import { optionsFor } from './trace-options.ts';

const DEFAULT_DEADLINE_MS = 1_000;

/** How to trace. */
export interface UtraceOptions {
  /** A callback that answers a promise may keep its task stopped so long, in milliseconds; 1,000 if left out. */
  readonly deadlineMs?: number;
  /**
   * Whether this thread sleeps in waitpid(2), for some ten milliseconds at a time, while tasks run: the fastest way, for a thread
   * that has little else to do. Before it sleeps it asks for the next stop, for some 140 µs of its processor at most, while tasks stop
   * that fast. A timer's signal ends the sleep: it may also end with EINTR what a callback sleeps in, `fs.readSync` of a pipe for
   * instance. Otherwise SIGCHLD tells it of stops, or in a worker thread a clock. True if left out.
   */
  readonly mayBlock?: boolean;
  /** Told of what callbacks throw; if left out it is thrown on, outside of the callback. */
  readonly failed?: (engine: Engine, reason: unknown) => void;
}

/** Whom to attach to: a process id, or a pidfd of the caller's, which stays the caller's. */
export type Target = number | { readonly pidfd: number };

const SYSTEM_CLOCK: Clock = {
  after(delayMs, work) {
    const timer = setTimeout(work, delayMs);
    return { cancel: () => clearTimeout(timer) };
  },
};

/** A tracer of tasks. Its owner closes it. */
export class Utrace implements StopListener, TaskHost {
  readonly port: PtracePort;
  readonly deadlineMs: number;
  readonly #mayBlock: boolean;
  readonly #clock: Clock;
  readonly #failed: ((engine: Engine, reason: unknown) => void) | undefined;
  readonly #tasks: TaskTable;
  readonly #newborns: Newborns;
  readonly #departures: Departures;
  readonly #processes = new Set<ProcessEngine>();
  #runningCount = 0;
  #mustYield = false;
  /** Whose stop was told just now: nothing else can have happened to it since. */
  #handledTid = 0;
  /** Nobody waits for stops any more: who was attached to now would stay in its next one. */
  #isClosed = false;

  /**
   * @param makePort is given who is to be told of stops
   */
  constructor(
    makePort: (listener: StopListener) => PtracePort,
    options: UtraceOptions = {},
    clock: Clock = SYSTEM_CLOCK,
  ) {
    this.deadlineMs = options.deadlineMs ?? DEFAULT_DEADLINE_MS;
    this.#mayBlock = options.mayBlock ?? true;
    this.#failed = options.failed;
    this.#clock = clock;
    this.port = makePort(this);
    this.#tasks = new TaskTable(this, this.port);
    this.#departures = new Departures(this.port, this.#tasks);
    this.#newborns = new Newborns(this, clock, this.#tasks, this.#processes);
  }

  /** The tasks that are traced now. */
  get tasks(): Iterable<Task> {
    return this.#tasks.values();
  }

  get taskCount(): number {
    return this.#tasks.size;
  }

  /** The task of a number, if it is traced. */
  task(tid: number): Task | undefined {
    return this.#tasks.get(tid);
  }

  /**
   * Attaches to one task (a thread) alone.
   *
   * @param tid its thread id
   * @param callbacks what to call
   * @param events bits of Event
   * @throws {ErrnoError} ESRCH when there is no such task, or it is a zombie; EPERM when it may not be traced or another tracer
   *   has it; EBUSY for a process that Node itself waits for; EINVAL for this process and unknown events; EBADF once this is closed
   */
  attachTask(tid: number, callbacks: Callbacks, events: number): Engine {
    this.#mustBeOpen();
    mustBeEvents(events);
    const known = this.#tasks.get(tid);
    if (known !== undefined) this.vanished(known);
    if (known !== undefined && known.state !== 'gone') return known.attach(callbacks, events);
    const task = seizeTask(this.port, this.#tasks, tid, events);
    this.#departures.attachedAlone(task);
    return task.attach(callbacks, events);
  }

  /**
   * Attaches to a process: to all its threads, those being born included, and if wanted to its children.
   *
   * @param target a process id or a pidfd
   * @param callbacks what to call, for each thread
   * @param options which events, and whether to follow children
   * @throws {ErrnoError} as `attachTask`; then nothing is attached. EBADF when `pidfd` is none; EINVAL for the number of a thread
   */
  attach(target: Target, callbacks: Callbacks, options: ProcessOptions): ProcessEngine {
    this.#mustBeOpen();
    const pid = typeof target === 'number' ? target : processOf(this.port, target.pidfd);
    mustBeProcess(this.port, pid);
    // The number cannot be given to another process while this says that it is there: who is seized was the one meant.
    const handle = this.port.openProcess(pid);
    try {
      // A process that ended before that may have lost its number to the one that was opened.
      if (typeof target !== 'number') processOf(this.port, target.pidfd);
      const group = new ProcessEngine(this, pid, callbacks, options);
      // Threads may end while others are seized.
      this.#processes.add(group);
      seizeThreads(this.port, this.#tasks, group, () => handle.isThere());
      return group;
    } finally {
      handle.close();
    }
  }

  /**
   * Starts a program and attaches to it before its first instruction. It is stopped in its exec until `started` is done: the
   * event EXEC is the first one reported.
   *
   * @param launch what to start; with `filter` only the calls that it picks stop, in the program and its children, which stay
   *   traced for as long as this does: a call that is picked answers ENOSYS without a tracer
   * @param callbacks what to call
   * @param options which events, and whether to follow children
   * @throws {ErrnoError} what execve(2) answered; EINVAL for unknown events; EBADF once this is closed
   */
  spawn(launch: LaunchOptions, callbacks: Callbacks, options: ProcessOptions): ProcessEngine {
    this.#mustBeOpen();
    mustBeEvents(options.events);
    const isFiltered = launch.filter !== undefined;
    const traceOptions = optionsFor(options.events | Event.CLONE, isFiltered);
    const pid = this.port.launch(launch, traceOptions);
    const task = this.#tasks.add(pid, pid, 'stopped', traceOptions);
    task.isFiltered = isFiltered;
    const group = new ProcessEngine(this, pid, callbacks, options);
    this.#processes.add(group);
    group.attachTo(task);
    task.handleExec(pid);
    return group;
  }

  /** Brings all that has happened until now, unless that is being done: a callback may have called this. */
  bring(): void {
    this.port.bring();
  }

  /** Resolves when nothing is traced. */
  async untilEmpty(): Promise<void> {
    await this.#tasks.untilEmpty();
  }

  /**
   * Detaches everything and gives the thread's tracing back. A leader that ended before the other threads of its process is
   * waited for behind the scenes, until they have ended or this thread has; that keeps no program alive.
   *
   * @throws {ErrnoError} ETIMEDOUT when a task cannot be let go in 5 s: it waits in the kernel and cannot stop; it is let go when
   *   this thread ends
   */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const group of this.#processes) void group.detach();
    this.#newborns.releaseAll();
    for (const task of this.#tasks.values()) {
      task.isFiltered = false;
      for (const engine of task.engines) void engine.detach();
      task.interrupt();
      task.settle();
    }
    const stuck = await untilOnlyDead(this.port, this.#clock, this.#tasks);
    this.port.buryChildren(() => false);
    // Dead leaders have to be waited for when their last thread has ended; their parents would be told of nothing otherwise.
    if (stuck.length === 0 && this.#tasks.size > 0) {
      this.port.linger(() => [...this.tasks].map(({ tid }) => tid));
      void this.untilEmpty().then(() => this.port.close());
      return;
    }
    this.port.close();
    if (stuck.length > 0)
      throw new ErrnoError(
        'ETIMEDOUT',
        `Cannot let go of tasks ${stuck.map(({ tid }) => tid).join(', ')}: they do not stop`,
      );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  handle(tid: number, status: number): void {
    const outer = this.#handledTid;
    this.#handledTid = tid;
    try {
      this.#dispatch(tid, status);
    } finally {
      this.#handledTid = outer;
    }
  }

  isHandling(task: Task): boolean {
    return task.tid === this.#handledTid;
  }

  #dispatch(tid: number, status: number): void {
    const event = isStopStatus(status) ? stopEvent(status) : 0;
    const task = this.#tasks.get(tid);
    if (event === PTRACE_EVENT.EXEC) this.#departures.executed(tid);
    else if (task === undefined) this.#handleUnknown(tid, status);
    else if (event === PTRACE_EVENT.FORK || event === PTRACE_EVENT.VFORK || event === PTRACE_EVENT.CLONE)
      this.#newborns.birth(task, event);
    else task.handle(status);
  }

  hasRunningTasks(): boolean {
    return this.#mayBlock && this.#runningCount > 0;
  }

  takeYield(): boolean {
    const mustYield = this.#mustYield;
    this.#mustYield = false;
    return mustYield;
  }

  after(delayMs: number, work: () => void): Deferred {
    return this.#clock.after(delayMs, work);
  }

  failed(engine: Engine, reason: unknown): void {
    if (this.#failed !== undefined) this.#failed(engine, reason);
    else
      queueMicrotask(() => {
        throw reason;
      });
  }

  suspended(): void {
    this.#mustYield = true;
  }

  runningChanged(isRunning: boolean): void {
    this.#runningCount += isRunning ? 1 : -1;
  }

  leaving(task: Task): void {
    this.#departures.doubt(task);
  }

  vanished(task: Task): void {
    this.#departures.look(task);
  }

  lookAgain(): void {
    this.#departures.lookAgain();
    this.port.buryChildren((pid) => this.#tasks.get(pid) !== undefined);
  }

  mayLeave(task: Task): boolean {
    return !task.isFiltered;
  }

  dropped(engine: Engine): void {
    for (const group of this.#processes) group.dropped(engine);
  }

  gone(task: Task, end: TaskEnd | undefined): void {
    this.#tasks.delete(task);
    this.#newborns.gone(task);
    this.#departures.settled(task);
    if (end !== undefined && task.tid === task.tgid) this.#departures.processEnded(task.tgid, end);
    for (const group of this.#processes) group.taskGone(task);
    if (this.#tasks.size > 0) return;
    this.#newborns.rest();
    this.#tasks.wakeEmpty();
  }

  /** A group of engines has none left and follows nobody. Only the group calls this. */
  groupEnded(group: ProcessEngine): void {
    this.#processes.delete(group);
  }

  #mustBeOpen(): void {
    if (this.#isClosed) throw new ErrnoError('EBADF', 'Cannot attach to anything: this tracer was closed');
  }

  /** A child that is told of before its parent's event, or one that nobody asked for. */
  #handleUnknown(tid: number, status: number): void {
    if (!isStopStatus(status)) {
      this.#newborns.lost(tid);
      this.#departures.processEnded(tid, taskEnd(status));
      return;
    }
    // A process's number that stops for us though only another of its threads was traced: that one executed a program, and
    // SIGKILL came before it was told. A newborn has a number that nobody has.
    const thread = this.#tasks.threadsOf(tid)[0];
    if (thread === undefined) {
      this.#newborns.meet(tid, status);
      return;
    }
    this.#tasks.rename(thread, tid);
    thread.handle(status);
  }
}
