/**
 * The reports of a task: the callbacks for one event, engine by engine. Engines are called in the order in which they attached,
 * in the reverse one for a system call's entry; one that attached during the event does not see it. A callback that answers a
 * promise suspends the report until it settles or its deadline is over.
 *
 * A task has one report, used again for each event, so that one without promises allocates nothing.
 */
import { ACTION_MASK, Action, DISPOSITION_MASK, Event, type Verdict } from './actions.ts';
import type { Engine } from './engine.ts';
import type { EngineSet } from './engine-set.ts';
import type { Stop } from './stop.ts';
import type { TaskHost } from './task-host.ts';

/** A report that runs or can be started. */
export class Report {
  readonly #host: TaskHost;
  readonly #stop: Stop;
  readonly #engines: EngineSet;
  readonly #finished: (event: number) => void;
  /** Whether callbacks run or a promise of one is waited for. Only this changes it, and the following. */
  isActive = false;
  /** What the last callback that said so wants to become of the signal or call; 0 when none did. */
  disposition = 0;
  /** What is reported: a bit of Event, or 0 for QUIESCE alone. */
  #event = 0;
  #count = 0;
  #called = 0;
  #isQuiesced = false;

  /** @param finished told when a report that `start` began is through */
  constructor(host: TaskHost, stop: Stop, engines: EngineSet, finished: (event: number) => void) {
    this.#host = host;
    this.#stop = stop;
    this.#engines = engines;
    this.#finished = finished;
  }

  /** Reports an event, or 0 for QUIESCE alone; the task is told of the end in any case. */
  start(event: number): void {
    if (this.run(event)) this.#finished(event);
  }

  /** Reports an event. Returns whether all have answered; otherwise the task is told when they have. */
  run(event: number): boolean {
    this.#begin(event, this.#engines.list.length);
    return this.#advance();
  }

  /**
   * Reports an event to the only engine, which wants it and not QUIESCE: what `run` does then, in fewer steps.
   *
   * @returns as `run`
   */
  tell(engine: Engine, event: number): boolean {
    this.#begin(event, 1);
    this.#called = 1;
    if (!this.#call(engine, event)) return false;
    this.isActive = false;
    return true;
  }

  #begin(event: number, count: number): void {
    this.isActive = true;
    this.#event = event;
    this.disposition = 0;
    this.#count = count;
    this.#called = 0;
    this.#isQuiesced = false;
  }

  #advance(): boolean {
    const event = this.#event;
    const isReversed = event === Event.SYSCALL_ENTRY;
    const engines = this.#engines.list;
    while (this.#called < this.#count) {
      const place = isReversed ? this.#count - 1 - this.#called : this.#called;
      const engine = engines[place] as Engine;
      if (!this.#isQuiesced) {
        this.#isQuiesced = true;
        const isWanted = (engine.events & Event.QUIESCE) !== 0 && event !== Event.REAP;
        if (isWanted && engine.attachment === 'attached' && !this.#call(engine, Event.QUIESCE)) return false;
      }
      this.#called += 1;
      this.#isQuiesced = false;
      if ((engine.events & event) === 0 || engine.attachment !== 'attached') continue;
      if (!this.#call(engine, event)) return false;
    }
    this.isActive = false;
    return true;
  }

  /** Returns whether the callback has answered. */
  #call(engine: Engine, kind: number): boolean {
    let answer: Verdict | Promise<Verdict>;
    try {
      answer = this.#stop.tell(engine, kind, this.#event);
    } catch (reason) {
      this.#host.failed(engine, reason);
      return true;
    }
    if (answer === undefined) return true;
    if (typeof answer === 'object') {
      this.#suspend(engine, kind, answer);
      return false;
    }
    this.#apply(engine, kind, answer);
    return true;
  }

  #suspend(engine: Engine, kind: number, promise: Promise<Verdict>): void {
    let isDecided = false;
    const decide = (answer: Verdict): void => {
      isDecided = true;
      if (answer !== undefined) this.#apply(engine, kind, answer);
      if (!this.#advance()) return;
      this.#finished(this.#event);
      this.#host.port.watch();
    };
    engine.runningEvents.push(kind);
    this.#stop.keepCall(this.#host.port.systemCall);
    this.#host.suspended();
    const deadline = this.#host.after(this.#host.deadlineMs, () => {
      if (isDecided) return;
      try {
        engine.callbacks.overdue?.(engine, kind);
      } catch (reason) {
        this.#host.failed(engine, reason);
      }
      decide(undefined);
    });
    const settled = (answer: Verdict): void => {
      deadline.cancel();
      if (!isDecided) decide(answer);
      engine.callbackEnded(kind);
    };
    promise.then(settled, (reason: unknown) => {
      this.#host.failed(engine, reason);
      settled(undefined);
    });
  }

  #apply(engine: Engine, kind: number, answer: number): void {
    if (engine.attachment !== 'attached') return;
    const action = answer & ACTION_MASK;
    this.#engines.hasWishes = true;
    if (action === Action.DETACH) engine.attachment = 'detached';
    engine.wantsStop = action === Action.STOP;
    engine.wish = action === Action.STOP ? Action.RESUME : action;
    if (kind === this.#event && (answer & DISPOSITION_MASK) !== 0)
      this.disposition = answer & DISPOSITION_MASK;
  }
}
