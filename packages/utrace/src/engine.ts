/**
 * An engine: one tracer's attachment to one task (a thread). It holds the task, the task holds it while it is attached; it
 * stays a valid object for as long as anybody refers to it, and answers ESRCH to everything once it was detached or its task was
 * reaped. It can never mean another task that got the same number.
 *
 * Its answers are those of the kernel's utrace_set_events, utrace_control, utrace_barrier and utrace_prepare_examine.
 */
import type { SignalInformation, SystemCallStop, TaskEnd } from '@usertrace/abi';
import { assert, ErrnoError } from '@usertrace/base';
import { Action, type Disposition, Event, mustBeEvents, type Verdict } from './actions.ts';
import type { Examination } from './examination.ts';
import type { Task } from './task.ts';
import { Waiters } from './waiters.ts';

/** How a child was made. */
export interface Birth {
  readonly kind: 'fork' | 'vfork' | 'clone';
  /** Whether it is a thread of the same process. */
  readonly isThread: boolean;
}

/** A signal that is about to be delivered. It stays as it is, but for `information`. */
export interface SignalReport {
  readonly signal: number;
  /** Valid until the callback answers. */
  readonly information: SignalInformation;
  readonly disposition: Disposition;
  /** It is a SIGTRAP that only tells that a step was done; nobody gets it unless a callback says DELIVER. */
  readonly isStep: boolean;
}

type Answer = Verdict | Promise<Verdict>;

/**
 * An engine's callbacks. Each answers what the engine wants now, or nothing. A callback that answers a promise keeps its task
 * stopped until then, or until its deadline; then the task goes on and `overdue` is called. An exception counts as no answer
 * and goes to the `failed` of Utrace.
 */
export interface Callbacks {
  /** @param event what is going to be reported; 0 when the engine asked for a report or a stop */
  quiesce?(engine: Engine, event: number): Answer;
  signal?(engine: Engine, report: SignalReport): Answer;
  /** The child is stopped before its first instruction until all callbacks are done, and can be attached to. */
  clone?(engine: Engine, child: Task, birth: Birth): Answer;
  /** @param formerTid another than the task's when a thread that was not the leader executed the program */
  exec?(engine: Engine, formerTid: number): Answer;
  /** @param end how it will end */
  exit?(engine: Engine, end: TaskEnd): Answer;
  death?(engine: Engine, end: TaskEnd): Answer;
  reap?(engine: Engine): Answer;
  /** @param call valid until the callback answers; `isResumed` when this entry was reported before a stop */
  syscallEntry?(engine: Engine, call: SystemCallStop, isResumed: boolean): Answer;
  syscallExit?(engine: Engine, call: SystemCallStop): Answer;
  jobControl?(engine: Engine, isStopped: boolean, signal: number): Answer;
  /** A callback for that event took longer than its deadline. Its answer will not count. */
  overdue?(engine: Engine, event: number): void;
  /** The last reference is gone. */
  release?(engine: Engine): void;
}

/** Whether something is so now (`done`), or will be as soon as a callback or the task allows it. */
export type Progress = 'done' | 'EINPROGRESS';

/** How an engine stands to its task. */
export type Attachment = 'attached' | 'detached' | 'reaped';

/** An attachment of callbacks to a task. */
export class Engine {
  readonly task: Task;
  readonly callbacks: Callbacks;
  /** Which events it is told of. Changed by `setEvents`. */
  events: number;
  /** The fields from here on are changed by its task only. */
  attachment: Attachment = 'attached';
  wantsStop = false;
  /** Whether its task holds it. */
  isListed = true;
  /** What its last callback or `control` asked for besides a stop; one resume uses it up. */
  wish: number = Action.RESUME;
  /** Events of its callbacks that answered a promise which is not settled. */
  readonly runningEvents: number[] = [];
  #references = 1;
  readonly #barriers = new Waiters();

  /** @throws {ErrnoError} EINVAL for unknown events */
  constructor(task: Task, callbacks: Callbacks, events: number) {
    mustBeEvents(events);
    this.task = task;
    this.callbacks = callbacks;
    this.events = events;
  }

  /** How many hold it: callers, and its task until it is detached and no callback of a report can be running. */
  get references(): number {
    return this.#references + (this.isListed ? 1 : 0);
  }

  /** Takes another reference. */
  ref(): this {
    assert(this.#references > 0, 'a reference is taken by somebody who has one');
    this.#references += 1;
    return this;
  }

  /** Gives a reference back. An attached engine goes on; nobody else can control it then. */
  unref(): void {
    assert(this.#references > 0, 'a reference is given back once');
    this.#references -= 1;
    this.releaseIfUnused();
  }

  /**
   * Chooses what the engine is told of.
   *
   * @param events bits of Event
   * @returns `EINPROGRESS` when a callback for an event that was taken away may be running; `barrier` waits for it
   * @throws {ErrnoError} ESRCH once detached or reaped; EALREADY when DEATH or REAP is cleared after its report began, or DEATH
   *   or QUIESCE set on a dead task; EINVAL for unknown bits
   */
  setEvents(events: number): Progress {
    mustBeEvents(events);
    this.#mustBeAttached('change its events');
    const cleared = this.events & ~events;
    const added = events & ~this.events;
    const { deathStage } = this.task;
    const isTooLate =
      (deathStage !== 'alive' &&
        ((cleared & Event.DEATH) !== 0 || (added & (Event.DEATH | Event.QUIESCE)) !== 0)) ||
      (deathStage === 'reaping' && (cleared & Event.REAP) !== 0);
    if (isTooLate) throw new ErrnoError('EALREADY', `Cannot change events of dead task ${this.task.tid}`);
    this.events = events;
    this.task.eventsChanged();
    return this.runningEvents.some((event) => (event & cleared) !== 0) ? 'EINPROGRESS' : 'done';
  }

  /**
   * Asks something of the task.
   *
   * @param action one of Action
   * @returns `EINPROGRESS` for STOP when the task has not stopped yet, for DETACH while a callback of this engine runs
   * @throws {ErrnoError} ESRCH once detached, and when the task is dead, unless it is to be detached; EALREADY to detach when
   *   the report of death has begun; EINVAL for no action, and for REPORT, SINGLESTEP and BLOCKSTEP without the event QUIESCE;
   *   EAGAIN to step a task that is not stopped
   */
  control(action: number): Progress {
    if (!Number.isInteger(action) || action < Action.STOP || action > Action.DETACH)
      throw new ErrnoError('EINVAL', `Cannot do action ${action}`);
    const needsReport = action >= Action.REPORT && action <= Action.BLOCKSTEP;
    if (needsReport && (this.events & Event.QUIESCE) === 0)
      throw new ErrnoError('EINVAL', 'Cannot ask for a report without the event QUIESCE: set it first');
    this.#mustBeAttached('control it');
    return this.task.control(this, action);
  }

  /**
   * Waits until no callback of this engine runs and what the last one answered has been done. A callback that awaits its own
   * engine's waits for itself: until its deadline.
   *
   * @throws {ErrnoError} ESRCH once detached or reaped; when that happened while callbacks ran, after they did
   */
  async barrier(): Promise<void> {
    while (this.runningEvents.length > 0) await this.#barriers.untilWoken();
    this.#mustBeAttached('wait for its callbacks');
  }

  /**
   * Asks the task to stop for this engine, and waits until it has.
   *
   * @throws {ErrnoError} as `control`; ESRCH also when it died or was detached before; EAGAIN when a callback of this engine
   *   answered something else in the meantime
   */
  async stop(): Promise<void> {
    if (this.control(Action.STOP) === 'done') return;
    await this.task.untilQuiet(this);
    this.#mustBeAttached('stop it');
    if (!this.wantsStop)
      throw new ErrnoError('EAGAIN', `Cannot stop task ${this.task.tid}: a callback let it go on`);
  }

  /**
   * Looks at the task while this engine keeps it stopped.
   *
   * @param work reads and writes registers and memory
   * @returns what `work` returned
   * @throws {ErrnoError} EINVAL when this engine does not keep it stopped; EAGAIN when it has not stopped yet, or ran in the
   *   meantime, so that what was read may belong to no instant; ESRCH when it is dead
   */
  async examine<T>(work: (examination: Examination) => T | Promise<T>): Promise<T> {
    this.#mustBeAttached('examine it');
    return this.task.examine(this, work);
  }

  /**
   * Detaches, and waits for a callback that runs.
   *
   * @throws nothing when it was detached or reaped before
   */
  async detach(): Promise<void> {
    if (this.attachment === 'attached' && this.task.deathStage === 'alive') this.control(Action.DETACH);
    while (this.runningEvents.length > 0) await this.#barriers.untilWoken();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.detach();
    this.unref();
  }

  /** A callback that had answered a promise is through. Only its task calls this. */
  callbackEnded(event: number): void {
    const place = this.runningEvents.indexOf(event);
    assert(place >= 0, 'a callback ends once');
    this.runningEvents.splice(place, 1);
    if (this.runningEvents.length === 0) this.#barriers.wake();
  }

  /** Only its task calls this, when it let it go, and `unref`. */
  releaseIfUnused(): void {
    if (this.references === 0) this.callbacks.release?.(this);
  }

  #mustBeAttached(doing: string): void {
    if (this.attachment !== 'attached')
      throw new ErrnoError(
        'ESRCH',
        `Cannot ${doing}: the engine of task ${this.task.tid} is ${this.attachment}`,
      );
  }
}
