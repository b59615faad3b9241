/**
 * A queue of operations and the executor that performs them one after another.
 *
 * The lane feeds the executor's ring from its queue, collects what is completed, and looks after it every `TICK_NS`:
 * when one operation takes longer than the lane's patience, the executor is killed, the operation is given to
 * `expired`, and the others go on with a fresh executor. Everything happens in deferred work or timers of the
 * reactor, never in `enqueue`.
 */
import { Nanoseconds } from '@usertrace/base';
import { monotonicNow } from '../clock.ts';
import type { Cancellable, Reactor } from '../reactor/reactor.ts';
import type { Executor, Executors } from './executor.ts';
import { Fifo } from './fifo.ts';
import { LATE, NOT_PASSED, type Operation } from './operation.ts';

/** How often progress is looked at: so much later than promised may a deadline be noticed. */
const TICK_NS = Nanoseconds(2_000_000);
/** After so long in one go others get their turn on the serving thread. */
const MAX_PUMP_NS = 500_000;
/** An executor that waits for a CPU is given the patience so many times over. */
const STARVATION_FACTOR = 20;

/** What makes lanes differ. */
export interface LaneRules {
  /** How long an operation may take. */
  readonly patienceNs: number;
  /** How many operations may be handed to the executor at once, at most `SLOTS` (arena.ts). */
  readonly depth: number;
  /** How long to stay awake for results, because a sleeping side costs 25 to 50 µs. */
  readonly spinNs: number;
  /** Called before an operation is submitted: false if it was taken care of otherwise. */
  admits(operation: Operation): boolean;
  /** Called with the operation that took too long. Its executor was killed; when that is dead, the operation ended. */
  expired(operation: Operation, executor: Executor): void;
}

/** A lane. `dispose` is the last call. */
export class Lane {
  readonly #reactor: Reactor;
  readonly #executors: Executors;
  readonly #rules: LaneRules;
  readonly #waiting = new Fifo<Operation>();
  /** Submitted and not collected, oldest first. */
  #submitted: Operation[] = [];
  /** The executor's number of the first of them. */
  #firstNumber = 0;
  #executor: Executor | undefined;
  #progressNs: number = 0;
  #tick: Cancellable | undefined;
  #isPumpDeferred = false;
  readonly #pumpDeferred = (): void => {
    this.#isPumpDeferred = false;
    this.#pump();
  };

  constructor(reactor: Reactor, executors: Executors, rules: LaneRules) {
    this.#reactor = reactor;
    this.#executors = executors;
    this.#rules = rules;
  }

  /** How many operations are not settled. */
  get size(): number {
    return this.#waiting.size + this.#submitted.length;
  }

  /** Puts an operation behind all others. */
  enqueue(operation: Operation): void {
    this.#waiting.push(operation);
    this.schedule();
  }

  /** Puts operations before all others that were not submitted, in their order. */
  enqueueFirst(operations: readonly Operation[]): void {
    this.#waiting.putBack(operations);
    this.schedule();
  }

  /** Looks for completed operations in deferred work. */
  schedule(): void {
    if (this.#isPumpDeferred || this.size === 0) return;
    this.#isPumpDeferred = true;
    this.#reactor.defer(this.#pumpDeferred);
  }

  /** Kills the executor. Operations that are left are settled as late. */
  dispose(): void {
    this.#tick?.cancel();
    this.#abandonExecutor();
    for (const operation of this.#submitted.splice(0)) {
      operation.space.letGo();
      operation.settle(LATE, new Uint8Array());
    }
    for (let one: Operation | undefined; (one = this.#waiting.shift()); ) one.settle(LATE, new Uint8Array());
  }

  #pump(): void {
    const startedNs = monotonicNow();
    do {
      this.#collect();
      this.#refill();
      if (this.#submitted.length === 0) return;
      if (!this.#becomesIdle()) {
        this.#awaitNotice();
        return;
      }
    } while (monotonicNow() - startedNs < MAX_PUMP_NS);
    this.schedule();
  }

  /** Settles what the executor completed. */
  #collect(): void {
    const arena = this.#executor?.arena;
    if (arena === undefined) return;
    const count = (arena.completed - this.#firstNumber) >>> 0;
    if (count === 0) return;
    this.#progressNs = monotonicNow();
    const completed = this.#submitted.splice(0, count);
    const first = this.#firstNumber;
    this.#firstNumber = (first + count) >>> 0;
    for (const [i, operation] of completed.entries()) {
      const number = (first + i) >>> 0;
      const result = arena.result(number);
      operation.space.letGo();
      if (result === NOT_PASSED) this.#executor?.forget(operation.space);
      operation.settle(result === NOT_PASSED ? LATE : result, arena.buffer(number));
    }
  }

  #refill(): void {
    if (this.#waiting.size === 0) return;
    if (this.#submitted.length === 0) this.#progressNs = monotonicNow();
    let hasSubmitted = false;
    while (this.#submitted.length < this.#rules.depth) {
      const operation = this.#waiting.shift();
      if (operation === undefined) break;
      if (!this.#rules.admits(operation)) continue;
      const executor = this.#startedExecutor();
      const isSubmitted = executor?.submit(operation) ?? false;
      if (!isSubmitted && this.#submitted.length > 0) {
        this.#waiting.putBack([operation]);
        break;
      }
      if (!isSubmitted) {
        operation.settle(LATE, new Uint8Array());
        continue;
      }
      operation.space.hold();
      this.#submitted.push(operation);
      hasSubmitted = true;
    }
    if (hasSubmitted) this.#executor?.wake();
  }

  #startedExecutor(): Executor | undefined {
    if (this.#executor === undefined) {
      this.#executor = this.#executors.start();
      this.#firstNumber = 0;
    }
    return this.#executor;
  }

  /** Stays awake until the executor has done all, but not for long. */
  #becomesIdle(): boolean {
    const executor = this.#executor;
    if (executor === undefined) return true;
    const givenUpNs = monotonicNow() + this.#rules.spinNs;
    while (executor.inFlight > 0) if (monotonicNow() >= givenUpNs) return false;
    return true;
  }

  #awaitNotice(): void {
    this.#executor?.arena.askForNotice();
    // It may have become idle just before it was asked.
    if (this.#executor?.inFlight === 0) this.schedule();
    else this.#tick ??= this.#reactor.after(TICK_NS, () => this.#look());
  }

  #look(): void {
    this.#tick = undefined;
    this.#collect();
    const stalledNs = monotonicNow() - this.#progressNs;
    if (this.#submitted.length > 0 && stalledNs >= this.#rules.patienceNs) {
      const isStarving =
        stalledNs < this.#rules.patienceNs * STARVATION_FACTOR && this.#executor?.isRunnable() === true;
      if (!isStarving) this.#expire();
    }
    this.#pump();
  }

  #expire(): void {
    const late = this.#submitted[0];
    const killed = this.#executor;
    this.#abandonExecutor();
    const remaining = this.#submitted;
    this.#submitted = [];
    for (const operation of remaining) operation.space.letGo();
    // It may have been completed at the last moment.
    const isLate = killed !== undefined && late !== undefined && late === remaining[0];
    this.#waiting.putBack(isLate ? remaining.slice(1) : remaining);
    if (isLate) this.#rules.expired(late, killed);
  }

  /** Kills the executor, and settles what it had completed. */
  #abandonExecutor(): void {
    if (this.#executor !== undefined) this.#executors.kill(this.#executor);
    this.#collect();
    this.#executor = undefined;
  }
}
