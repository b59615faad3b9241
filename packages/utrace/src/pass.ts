/**
 * One report: the callbacks for one event of one task, engine by engine. Engines are called in the order in which they attached,
 * in the reverse one for a system call's entry; one that attached during the event does not see it. A callback that answers a
 * promise suspends the report until it settles or its deadline is over.
 *
 * A task has one pass, used again for each event, so that a report without promises allocates nothing.
 */
import { ACTION_MASK, Action, DISPOSITION_MASK, Event, type Verdict } from './actions.ts';
import type { Engine } from './engine.ts';

/** What a pass needs of its task. */
export interface PassOwner {
  readonly engines: readonly Engine[];
  /** Calls an engine's callback for an event. */
  callBack(engine: Engine, kind: number): Verdict | Promise<Verdict>;
  /** A callback threw. */
  failed(engine: Engine, reason: unknown): void;
  /** Does work when a callback has taken too long. */
  afterDeadline(work: () => void): { cancel(): void };
  /** A callback answered a promise: stops of other tasks can wait until promises went on. */
  suspended(): void;
  /** A suspended pass has come to its end. */
  resumedToEnd(): void;
}

/** A report that runs or can be started. */
export class Pass {
  readonly #owner: PassOwner;
  /** Whether callbacks run or are still to be run. */
  isActive = false;
  /** What is reported: a bit of Event, or 0 for QUIESCE alone. */
  event = 0;
  /** What the last callback that said so wants to become of the signal or call; 0 when none did. */
  disposition = 0;
  #count = 0;
  #called = 0;
  #isQuiesced = false;

  constructor(owner: PassOwner) {
    this.#owner = owner;
  }

  /**
   * Calls the engines.
   *
   * @param event a bit of Event, or 0
   * @returns whether all have answered; otherwise the owner is told later
   */
  start(event: number): boolean {
    this.isActive = true;
    this.event = event;
    this.disposition = 0;
    this.#count = this.#owner.engines.length;
    this.#called = 0;
    this.#isQuiesced = false;
    return this.#advance();
  }

  #advance(): boolean {
    const { event } = this;
    const isReversed = event === Event.SYSCALL_ENTRY;
    const { engines } = this.#owner;
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
      answer = this.#owner.callBack(engine, kind);
    } catch (reason) {
      this.#owner.failed(engine, reason);
      return true;
    }
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
      this.#apply(engine, kind, answer);
      if (this.#advance()) this.#owner.resumedToEnd();
    };
    engine.runningEvents.push(kind);
    this.#owner.suspended();
    const deadline = this.#owner.afterDeadline(() => {
      if (isDecided) return;
      try {
        engine.callbacks.overdue?.(engine, kind);
      } catch (reason) {
        this.#owner.failed(engine, reason);
      }
      decide(undefined);
    });
    const settled = (answer: Verdict): void => {
      deadline.cancel();
      if (!isDecided) decide(answer);
      engine.callbackEnded(kind);
    };
    promise.then(settled, (reason: unknown) => {
      this.#owner.failed(engine, reason);
      settled(undefined);
    });
  }

  #apply(engine: Engine, kind: number, answer: Verdict): void {
    if (answer === undefined || engine.attachment !== 'attached') return;
    const action = answer & ACTION_MASK;
    if (action === Action.DETACH) engine.attachment = 'detached';
    engine.wantsStop = action === Action.STOP;
    engine.wish = action === Action.STOP ? Action.RESUME : action;
    if (kind === this.event && (answer & DISPOSITION_MASK) !== 0)
      this.disposition = answer & DISPOSITION_MASK;
  }
}
