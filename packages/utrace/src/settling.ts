/**
 * What a stopped task does next: it is let go of, stays, reports once more, or goes on, as all its engines together want it.
 */
import { PTRACE } from '@usertrace/abi';
import { Action, Event } from './actions.ts';
import type { Engine } from './engine.ts';
import { isTrapPending } from './signals.ts';
import type { TaskParts } from './stop-reader.ts';
import type { Task } from './task.ts';
import type { TaskHost } from './task-host.ts';
import { optionsFor, SYSTEM_CALL_EVENTS, UNKNOWN_OPTIONS } from './trace-options.ts';

/** Decides for one task. */
export class Settling {
  readonly #task: Task;
  readonly #host: TaskHost;
  readonly #parts: TaskParts;
  /** The options that the kernel has. */
  #options: number;
  #isDeciding = false;
  /** It reported for a wish since it last went on. */
  #hasReported = false;
  /** It stayed stopped for an engine since its last stop. */
  #wasHeld = false;
  #waiting: { readonly engine: Engine; readonly wake: () => void }[] = [];

  constructor(task: Task, host: TaskHost, parts: TaskParts, options: number) {
    this.#task = task;
    this.#host = host;
    this.#parts = parts;
    this.#options = options;
  }

  /** Whether engines want events for which the kernel does not stop it yet. */
  get lacksOptions(): boolean {
    const { engines } = this.#parts;
    return (optionsFor(engines.events, this.#task.isFiltered) & ~this.#options) !== 0;
  }

  /** Its task was made by another one, which has not gone on since. */
  inherit(parent: Settling): void {
    if (this.#options === UNKNOWN_OPTIONS) this.#options = parent.#options;
  }

  /** Decides, unless callbacks run or it is not in the stop that was told last. */
  settle(): void {
    if (this.#isDeciding || !this.#isUndecided() || !this.#task.isStillInStop()) return;
    this.#isDeciding = true;
    try {
      while (this.#decide() && this.#isUndecided());
    } finally {
      this.#isDeciding = false;
    }
  }

  /**
   * Lets a task go on whose only engine wants nothing else: what `settle` does then, in fewer steps.
   *
   * @returns false when there is more to decide
   */
  goOn(): boolean {
    const { engines, stop, step } = this.#parts;
    const isPlain =
      optionsFor(engines.events, this.#task.isFiltered) === this.#options &&
      stop.kind !== 'group' &&
      step.wish === Action.RESUME &&
      !this.#wasHeld &&
      !this.#isDeciding;
    if (isPlain) this.#endStop(Action.RESUME);
    return isPlain;
  }

  /** Resolves when it stands still for an engine, or the engine is detached. */
  untilQuiet(engine: Engine): Promise<void> {
    return new Promise((wake) => this.#waiting.push({ engine, wake }));
  }

  /** Wakes those whose wait is over. */
  wakeQuiet(): void {
    if (this.#waiting.length === 0) return;
    const isOver = ({ engine }: { readonly engine: Engine }): boolean =>
      this.#task.state !== 'running' || engine.attachment !== 'attached' || !engine.wantsStop;
    const ready = this.#waiting.filter((waiter) => isOver(waiter));
    this.#waiting = this.#waiting.filter((waiter) => !ready.includes(waiter));
    for (const { wake } of ready) wake();
  }

  #isUndecided(): boolean {
    return this.#task.state === 'stopped' && !this.#parts.report.isActive;
  }

  /** Decides for a task that is stopped and not reporting. Returns whether it has to be decided again. */
  #decide(): boolean {
    const { engines } = this.#parts;
    const task = this.#task;
    if (task.isHeld) return false;
    if (engines.list.length === 0 && this.#host.mayLeave(task)) {
      this.#leave();
      return false;
    }
    if (engines.wantsStop) {
      this.#wasHeld = true;
      this.wakeQuiet();
      return false;
    }
    if (this.#wasHeld) {
      this.#wasHeld = false;
      engines.takeReportWishes();
    }
    if (engines.owesReport && !this.#hasReported) {
      this.#reportAgain();
      return true;
    }
    this.#resume();
    return false;
  }

  /** A stop at a system call's entry that an engine made longer is reported as an entry again. */
  #reportAgain(): void {
    const { engines, stop, report } = this.#parts;
    engines.owesReport = false;
    this.#hasReported = true;
    stop.isResumedEntry = stop.kind === 'entry';
    const isWanted = stop.isResumedEntry && (engines.events & Event.SYSCALL_ENTRY) !== 0;
    report.start(isWanted ? Event.SYSCALL_ENTRY : 0);
  }

  #resume(): void {
    const { engines, stop, step } = this.#parts;
    const { port, tid } = this.#task;
    engines.takeReportWishes();
    const wish = engines.takeWish(step.wish);
    const options = optionsFor(engines.events, this.#task.isFiltered);
    if (options !== this.#options && port.setOptions(tid, options) === 0) this.#options = options;
    const listens = stop.kind === 'group';
    // A step that is asked for in a group stop is done when that is over.
    if (listens) step.wish = wish;
    // Asked for before it goes on, a stop comes before its next instruction; a step would be lost that way.
    const stopsAtOnce = engines.owesReport && !listens && wish === Action.RESUME;
    if (stopsAtOnce) this.#task.interruptAtOnce();
    if (this.#endStop(wish) && engines.owesReport && !stopsAtOnce) this.#task.interrupt();
  }

  /** Makes the request that ends the stop. Returns whether the task was there. */
  #endStop(wish: number): boolean {
    const { stop } = this.#parts;
    const { port, tid } = this.#task;
    this.#hasReported = false;
    const signal = stop.pendingSignal;
    stop.pendingSignal = 0;
    const listens = stop.kind === 'group';
    const answer = listens ? port.listen(tid) : port.resume(tid, this.#requestFor(wish), signal);
    this.wakeQuiet();
    if (answer < 0) this.#task.vanished();
    else this.#task.wentOn(listens ? 'listening' : 'running');
    return answer >= 0;
  }

  #requestFor(wish: number): number {
    const { engines, calls, step } = this.#parts;
    const { isFiltered } = this.#task;
    const wantsCalls = !isFiltered && (engines.events & SYSTEM_CALL_EVENTS) !== 0;
    const wantsExit = isFiltered && calls.isInside && (engines.events & Event.SYSCALL_EXIT) !== 0;
    if (wish !== Action.RESUME) return step.begin(this.#task, wish, calls.isInside, wantsCalls);
    step.hasTrapFlag = false;
    if (wantsCalls || wantsExit) return PTRACE.SYSCALL;
    calls.forget();
    return PTRACE.CONT;
  }

  /** Lets it go: nobody is attached. */
  #leave(): void {
    const { port, tid } = this.#task;
    const { step, stop } = this.#parts;
    if (step.hasTrapFlag && stop.kind !== 'signal' && isTrapPending(port.status(tid))) {
      this.#takeTrap();
      return;
    }
    if (port.detach(tid, this.#parts.stop.pendingSignal) < 0) {
      this.#task.vanished();
      return;
    }
    this.#task.left();
    this.wakeQuiet();
  }

  /** Goes on as far as the trap of its step, which it is let go at. */
  #takeTrap(): void {
    const { port, tid } = this.#task;
    if (port.resume(tid, PTRACE.CONT, 0) < 0) this.#task.vanished();
    else this.#task.wentOn('running');
  }
}
