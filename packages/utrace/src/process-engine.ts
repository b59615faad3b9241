/**
 * An engine on a whole process: one Engine a thread, all with the same callbacks, and one more for each thread that is born; with
 * `follow`, for each child and its threads too. It answers as an engine does, for all of them.
 */
import { ErrnoError } from '@usertrace/base';
import { Action, Event, mustBeEvents } from './actions.ts';
import type { Callbacks, Engine, Progress } from './engine.ts';
import type { Task } from './task.ts';
import type { Utrace } from './utrace.ts';
import { Waiters } from './waiters.ts';

/** What a process is attached to for. */
export interface ProcessOptions {
  /** Bits of Event. */
  readonly events: number;
  /** Whether its children are attached to as well, and theirs, before their first instruction. */
  readonly follow?: boolean;
}

/** Processes whose children may still be told of after their death. */
const MAX_FORMER = 4_096;

/** Engines of a process. */
export class ProcessEngine {
  /** The process that it was attached to. */
  readonly tgid: number;
  readonly follow: boolean;
  readonly #utrace: Utrace;
  readonly #callbacks: Callbacks;
  readonly #engines = new Map<Task, Engine>();
  readonly #former = new Set<number>();
  #wantedEvents: number;
  #hasEnded = false;
  readonly #endWaiters = new Waiters();
  /** More threads are being attached to: it has not ended though none is left. Only the one who seizes them changes this. */
  isSeizing = false;

  /** @throws {ErrnoError} EINVAL for unknown events */
  constructor(utrace: Utrace, tgid: number, callbacks: Callbacks, options: ProcessOptions) {
    mustBeEvents(options.events);
    this.#utrace = utrace;
    this.tgid = tgid;
    this.follow = options.follow ?? false;
    this.#wantedEvents = options.events;
    this.#callbacks = {
      ...callbacks,
      clone: (engine, child, birth) => {
        if (!this.#hasEnded && (birth.isThread || this.follow)) this.attachTo(child);
        if ((this.#wantedEvents & Event.CLONE) !== 0) return callbacks.clone?.(engine, child, birth);
      },
    };
  }

  /** Bits of Event that its engines have: the wanted ones, and CLONE, without which threads would be missed. */
  get events(): number {
    return this.#wantedEvents | Event.CLONE;
  }

  /** The engines by their tasks. */
  get engines(): ReadonlyMap<Task, Engine> {
    return this.#engines;
  }

  /** Whether a process's thread is attached to. */
  has(tgid: number): boolean {
    for (const task of this.#engines.keys()) if (task.tgid === tgid) return true;
    return false;
  }

  /** Whether a child with that parent may come from a process that was attached to; init has those of dead ones. */
  mayHaveMade(parentPid: number): boolean {
    return this.has(parentPid) || this.#former.size > 0;
  }

  /**
   * Attaches to a task, unless it is.
   *
   * @returns undefined when it was before, or the task is gone
   */
  attachTo(task: Task): Engine | undefined {
    if (this.#engines.has(task) || isGone(task)) return undefined;
    const engine = task.attach(this.#callbacks, this.events);
    this.#engines.set(task, engine);
    // It was to be interrupted for the events, and that found that it is not there.
    if (isGone(task)) this.taskGone(task);
    return this.#engines.get(task);
  }

  /**
   * As Engine.setEvents, for all threads and those to come.
   *
   * @throws {ErrnoError} ESRCH when it is detached or all of it has ended; EINVAL for unknown bits
   */
  setEvents(events: number): Progress {
    mustBeEvents(events);
    this.#mustBeAttached('change its events');
    this.#wantedEvents = events;
    return this.#all((engine) => engine.setEvents(this.events));
  }

  /**
   * As Engine.control, for all threads.
   *
   * @throws {ErrnoError} ESRCH when it is detached or all of it has ended
   */
  control(action: number): Progress {
    this.#mustBeAttached('control it');
    const progress = this.#all((engine) => engine.control(action));
    if (action === Action.DETACH) void this.detach();
    return progress;
  }

  /** As Engine.barrier, for all threads. */
  async barrier(): Promise<void> {
    this.#mustBeAttached('wait for its callbacks');
    await Promise.all([...this.#engines.values()].map((engine) => engine.barrier().catch(ignoreGone)));
  }

  /** Stops all threads and waits until they have; those born in the meantime included. */
  async stop(): Promise<void> {
    this.#mustBeAttached('stop it');
    for (;;) {
      // One that a callback detached, or whose task dies, never stops.
      const moving = [...this.#engines.values()].filter(
        ({ attachment, wantsStop, task }) =>
          attachment === 'attached' && task.deathStage === 'alive' && !(wantsStop && task.isStopped),
      );
      if (moving.length === 0) return;
      await Promise.all(moving.map((engine) => engine.stop().catch(ignoreGone)));
    }
  }

  /** Detaches from all threads and waits for callbacks that run. The tasks go on once they could be stopped for that. */
  async detach(): Promise<void> {
    this.#end();
    const engines = [...this.#engines.values()];
    this.#engines.clear();
    await Promise.all(engines.map((engine) => engine.detach().catch(ignoreGone)));
    for (const engine of engines) engine.unref();
  }

  /** Resolves when all that was attached to is dead or detached from. */
  async ended(): Promise<void> {
    while (!this.#hasEnded) await this.#endWaiters.untilWoken();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.detach();
  }

  /** A task died or was let go. Only Utrace calls this and the one that follows. */
  taskGone(task: Task): void {
    const engine = this.#engines.get(task);
    if (engine !== undefined) this.#lose(task, engine);
  }

  /** An engine was detached by itself: its callback said so, or somebody who found it in `engines`. */
  dropped(engine: Engine): void {
    const { task } = engine;
    if (this.#engines.get(task) === engine) this.#lose(task, engine);
  }

  #lose(task: Task, engine: Engine): void {
    this.#engines.delete(task);
    engine.unref();
    if (this.#former.size >= MAX_FORMER) this.#former.clear();
    this.#former.add(task.tgid);
    if (this.#engines.size === 0 && !this.isSeizing) this.#end();
  }

  #end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#utrace.groupEnded(this);
    this.#endWaiters.wake();
  }

  #all(ask: (engine: Engine) => Progress): Progress {
    let progress: Progress = 'done';
    for (const engine of this.#engines.values()) {
      try {
        if (ask(engine) === 'EINPROGRESS') progress = 'EINPROGRESS';
      } catch (error) {
        ignoreGone(error);
      }
    }
    return progress;
  }

  #mustBeAttached(doing: string): void {
    if (this.#hasEnded || this.#engines.size === 0)
      throw new ErrnoError('ESRCH', `Cannot ${doing}: process ${this.tgid} has ended or was detached from`);
  }
}

function isGone({ state }: Task): boolean {
  return state === 'gone';
}

/** One thread of many that is dead or dying is no failure of all. */
function ignoreGone(error: unknown): void {
  if (error instanceof ErrnoError && (error.code === 'ESRCH' || error.code === 'EALREADY')) return;
  throw error;
}
