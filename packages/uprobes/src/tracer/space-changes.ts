/**
 * Changes of what is probed, in the memory of running programs. Memory is changed at stops where a thread can be made to call the
 * system: it is asked for one (`QUIESCE` without an event), after exec, in a new child before its first instruction, when probes change,
 * and when mappings do. Where jumps come or go, all threads of the process are stopped.
 */

import { setTimeout as delay } from 'node:timers/promises';
import { ErrnoError } from '@usertrace/base';
import { Action, type Task, type Utrace, type Verdict } from '@usertrace/utrace';
import { BREAKPOINT_SIGNAL_BIT } from '../breakpoint/breakpoint-set.ts';
import { StoppedProcess } from '../jump/stopped-process.ts';
import type { AddressSpaces } from './address-spaces.ts';
import type { ProbedSpace } from './probed-space.ts';
import { isWrongStop, type SpaceStop, type WantedProbes } from './space-stop.ts';

const CHANGE_DEADLINE_MS = 5_000;
const RETRY_MS = 2;
/** How long the end of tracing waits for vfork's child, whose parent cannot be stopped. Jumps that are left go on without harm. */
const LAST_SHARED_DEADLINE_MS = 400;
/** How long all threads of a process may take to stop for a jump. */
const STOP_DEADLINE_MS = 1_000;
/** How often threads that are where a jump is to be may go on a little. */
const JUMP_TRIES = 12;

/** Those of all programs. */
export class SpaceChanges {
  readonly #utrace: Utrace;
  readonly #spaces: AddressSpaces;
  readonly #wanted: () => WantedProbes;
  readonly #refused: (reason: unknown) => void;

  /**
   * @param wanted what should be in every memory by now
   * @param refused told of a probe that cannot be put into a program, and why
   */
  constructor(
    utrace: Utrace,
    spaces: AddressSpaces,
    wanted: () => WantedProbes,
    refused: (reason: unknown) => void,
  ) {
    this.#utrace = utrace;
    this.#spaces = spaces;
    this.#wanted = wanted;
    this.#refused = refused;
  }

  /**
   * Probes have changed. Done when they are what they should be in all programs.
   *
   * @throws {ErrnoError} ETIMEDOUT when a process does not stop in 5 s
   */
  async bringStale(): Promise<void> {
    for (const space of this.#spaces.byProcess.values()) space.isStale = true;
    await this.bringAll();
  }

  /**
   * Done when no program's memory is stale.
   *
   * @throws {ErrnoError} ETIMEDOUT when a process does not stop in 5 s
   */
  async bringAll(): Promise<void> {
    const isStale = (task: Task): boolean => this.#spaces.byProcess.get(task.tgid)?.isStale === true;
    const deadline = performance.now() + CHANGE_DEADLINE_MS;
    // Threads that all have to stop need not be stopped one by one before.
    for (const [pid, space] of this.#spaces.byProcess)
      if (space.isStale && !space.isChanging && space.needsStillness(pid, this.#wanted()))
        void this.#bringStill(space);
    for (;;) {
      const stale = [...this.#utrace.tasks].filter((task) => task.state !== 'gone' && isStale(task));
      if (stale.length === 0) return;
      if (performance.now() > deadline)
        throw new ErrnoError(
          'ETIMEDOUT',
          `Cannot change probes in processes ${[...new Set(stale.map(({ tgid }) => tgid))].join(', ')}: they do not stop`,
        );
      for (const task of stale)
        if (this.#spaces.byProcess.get(task.tgid)?.isChanging !== true) this.askForStop(task);
      await delay(RETRY_MS);
    }
  }

  /** At a stop: changes the thread's memory if that is stale. Where the thread cannot call the system, another stop is asked for. */
  bring(task: Task): Verdict {
    const space = this.#spaces.of(task.tgid);
    if (!space.isStale || space.isChanging) return undefined;
    if (space.needsStillness(task.tgid, this.#wanted())) {
      void this.#bringStill(space);
      return undefined;
    }
    try {
      space.bring({ ...this.#stopOf(task), look: task.examination() }, this.#wanted());
    } catch (error) {
      if (isWrongStop(error)) return Action.INTERRUPT;
      space.isStale = false;
      this.#refused(error);
    }
    return undefined;
  }

  /** Looks for new mappings. Libraries are told of by the loader; what a program maps itself is not. */
  lookForMappings(): void {
    for (const [pid, space] of this.#spaces.byProcess) {
      if (space.isStale || !space.hasOtherMappings(pid)) continue;
      space.isStale = true;
      for (const task of this.#utrace.tasks) if (task.tgid === pid) this.askForStop(task);
    }
  }

  /** Asks for a stop at which `bring` can do something. */
  askForStop(task: Task): void {
    for (const engine of task.engines) {
      if (engine.callbacks.signal === undefined || engine.attachment !== 'attached') continue;
      try {
        engine.control(Action.INTERRUPT);
      } catch (error) {
        if (!(error instanceof ErrnoError) || error.code !== 'ESRCH') throw error;
      }
    }
  }

  #stopOf(task: Task): Omit<SpaceStop, 'look'> {
    const isSignalHandled =
      ((task.port.status(task.tid)?.handledSignals ?? 0n) & BREAKPOINT_SIGNAL_BIT) !== 0n;
    return { pid: task.tgid, isSignalHandled, refused: this.#refused };
  }

  /**
   * Stops all threads that run in a memory, and changes jumps too. Called from a callback, it keeps that thread stopped from then on.
   * A child of vfork, which shares the memory, has to execute or end first: its parent cannot be stopped before that.
   */
  async #bringStill(space: ProbedSpace): Promise<void> {
    space.isChanging = true;
    const startedAtMs = performance.now();
    try {
      for (let tries = 1; space.isStale && space.users.size > 0; tries++) {
        const [pid = 0] = space.users;
        const isSharedAtLast = space.users.size > 1 && this.#wanted().isLast;
        const patienceMs = isSharedAtLast ? LAST_SHARED_DEADLINE_MS : CHANGE_DEADLINE_MS;
        if (performance.now() - startedAtMs > patienceMs)
          throw new ErrnoError('ETIMEDOUT', `Process ${pid} does not stop`);
        if (tries > 1) await delay(RETRY_MS * tries);
        if (space.users.size === 1 && (await this.#tryStill(space, pid, tries < JUMP_TRIES))) return;
      }
      space.isChanging = false;
    } catch (error) {
      const isLate = error instanceof ErrnoError && error.code === 'ETIMEDOUT';
      const [pid = 0] = space.users;
      if (isLate) space.giveUpJumps(pid, this.#wanted(), 'does-not-stop');
      else {
        space.isStale = false;
        if (!(error instanceof ErrnoError && error.code === 'ESRCH')) this.#refused(error);
      }
      space.isChanging = false;
    }
  }

  /** @returns whether it was done; the following change may have begun when this returns */
  async #tryStill(space: ProbedSpace, pid: number, canRetry: boolean): Promise<boolean> {
    const stopped = await StoppedProcess.stop(this.#utrace, pid, STOP_DEADLINE_MS);
    let isDone = false;
    try {
      const { look, task } = await stopped.caller();
      const still = { tasks: stopped.tasks, tid: task.tid, canRetry };
      space.bring({ ...this.#stopOf(task), look, still }, this.#wanted());
      isDone = true;
      // Before a thread goes on: it may have to be kept for the following change at once.
      space.isChanging = false;
    } catch (error) {
      // A thread died meanwhile, or none could call the system.
      const isOver = isWrongStop(error) || (error instanceof ErrnoError && error.code === 'ESRCH');
      if (!isOver) throw error;
    } finally {
      await stopped.release();
    }
    return isDone;
  }
}
