/**
 * Operations whose executor was killed and is not dead yet. Until it is, the operation may still take effect, so the
 * others of its address space are postponed. Most die as soon as they get a CPU. One that does not in `DEATH_NS` though
 * it could waits uninterruptibly for a page that does not come; then the address space is forsaken: all its operations
 * are late from now on, so that it holds up one executor at most, and no later store is overtaken by that one.
 */
import { Nanoseconds } from '@usertrace/base';
import { monotonicNow } from '../clock.ts';
import type { Cancellable, Reactor } from '../reactor/reactor.ts';
import type { AddressSpace } from './address-space.ts';
import { LATE, type Operation } from './operation.ts';

/** How long a killed executor may go on. */
const DEATH_NS = 100_000_000;
/** How long if it only lacks a CPU, or a debugger keeps it: that is no reason to forsake a program for good. */
const ENDING_NS = 10_000_000_000;
/** How often it is looked at. */
const TICK_NS = Nanoseconds(2_000_000);

/** An executor that was killed. */
export interface KilledExecutor {
  isDead(): boolean;
  /** Whether it hangs in no access. */
  isEnding(): boolean;
}

interface Dying {
  readonly operation: Operation;
  readonly executor: KilledExecutor;
  readonly proceed: () => void;
  readonly killedNs: number;
  readonly postponed: Operation[];
  timer: Cancellable;
}

export class DyingAccesses {
  readonly #reactor: Reactor;
  readonly #resume: (space: AddressSpace, operations: readonly Operation[]) => void;
  readonly #dyingBySpace = new Map<AddressSpace, Dying>();

  /** @param resume is given postponed operations once they may be done */
  constructor(reactor: Reactor, resume: (space: AddressSpace, operations: readonly Operation[]) => void) {
    this.#reactor = reactor;
    this.#resume = resume;
  }

  /**
   * Calls `proceed` once an executor is dead, before which the postponed operations were resumed; or settles its
   * operation as late.
   */
  await(operation: Operation, executor: KilledExecutor, proceed: () => void): void {
    if (executor.isDead()) {
      proceed();
      return;
    }
    const dying: Dying = {
      operation,
      executor,
      proceed,
      killedNs: monotonicNow(),
      postponed: [],
      timer: this.#reactor.after(TICK_NS, () => this.#look(dying)),
    };
    this.#dyingBySpace.set(operation.space, dying);
  }

  /** Keeps an operation for later if one of its address space is dying. */
  postpones(operation: Operation): boolean {
    const dying = this.#dyingBySpace.get(operation.space);
    dying?.postponed.push(operation);
    return dying !== undefined;
  }

  /** Settles all as late. */
  dispose(): void {
    for (const dying of this.#dyingBySpace.values()) this.#giveUp(dying);
  }

  #look(dying: Dying): void {
    const isStuck = hasStuck(dying); // Asked first: it may die just after it was asked.
    if (dying.executor.isDead()) {
      this.#dyingBySpace.delete(dying.operation.space);
      if (dying.postponed.length > 0) this.#resume(dying.operation.space, dying.postponed);
      dying.proceed();
    } else if (isStuck) {
      this.#giveUp(dying);
    } else {
      dying.timer = this.#reactor.after(TICK_NS, () => this.#look(dying));
    }
  }

  #giveUp(dying: Dying): void {
    dying.timer.cancel();
    this.#dyingBySpace.delete(dying.operation.space);
    dying.operation.space.forsake();
    for (const operation of [dying.operation, ...dying.postponed]) operation.settle(LATE, new Uint8Array());
  }
}

function hasStuck({ executor, killedNs }: Dying): boolean {
  const dyingNs = monotonicNow() - killedNs;
  return dyingNs >= ENDING_NS || (dyingNs >= DEATH_NS && !executor.isEnding());
}
