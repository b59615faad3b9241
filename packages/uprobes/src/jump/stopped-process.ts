/**
 * A process all of whose threads stand still, those that were being born included, until it is released. It has engines of its own
 * on the threads: what others answer at their stops does not let a thread go.
 */

import { systemCallNumber } from '@usertrace/abi';
import { ErrnoError, isInTime } from '@usertrace/base';
import { Action, type Examination, type ProcessEngine, type Task, type Utrace } from '@usertrace/utrace';
import type { Mapping } from '../process/process-maps.ts';
import type { ThreadPositions } from './thread-positions.ts';

/** getppid, which changes nothing. */
const GETPPID = systemCallNumber('getppid');

/** All threads stand still. */
export interface SpaceStillness {
  /** At a thread that can call the system. */
  readonly look: Examination;
  /** That thread. */
  readonly tid: number;
  readonly mappings: readonly Mapping[];
  readonly positions: ThreadPositions;
}

/** A stop of all threads. */
export class StoppedProcess {
  readonly tgid: number;
  readonly #engines: ProcessEngine;
  readonly #deadlineMs: number;

  /**
   * Stops a process. A thread that is in a callback stays from then on; its callback can go on.
   *
   * @param deadlineMs how long threads may take
   * @throws {ErrnoError} ETIMEDOUT when a thread does not stop: it waits in the kernel and cannot be interrupted, as the parent of
   *   vfork's child does; ESRCH when the process is gone; EPERM as Utrace.attach
   */
  static async stop(utrace: Utrace, tgid: number, deadlineMs: number): Promise<StoppedProcess> {
    const stopped = new StoppedProcess(tgid, utrace.attach(tgid, {}, { events: 0 }), deadlineMs);
    try {
      await stopped.#stop();
      return stopped;
    } catch (error) {
      await stopped.release();
      throw error;
    }
  }

  private constructor(tgid: number, engines: ProcessEngine, deadlineMs: number) {
    this.tgid = tgid;
    this.#engines = engines;
    this.#deadlineMs = deadlineMs;
  }

  /** Its threads. */
  get tasks(): Task[] {
    return [...this.#engines.engines.keys()].filter(({ state }) => state !== 'gone');
  }

  /**
   * A look at one of its threads that can call the system. Where none can, since all stand before signals or in calls, one goes on to
   * the following stop, which is before its next instruction.
   *
   * @throws {ErrnoError} EAGAIN when none can there either; ESRCH when all are gone; ETIMEDOUT when one does not stop again
   */
  async caller(): Promise<{ look: Examination; task: Task }> {
    for (const task of this.tasks) if (canCall(task)) return { look: task.examination(), task };
    for (const [task, engine] of this.#engines.engines) {
      engine.control(Action.RESUME);
      await this.#inTime(engine.stop());
      if (canCall(task)) return { look: task.examination(), task };
    }
    throw new ErrnoError('EAGAIN', `Cannot make process ${this.tgid} call the system: no thread can`);
  }

  /** Lets all threads go on. */
  async release(): Promise<void> {
    await this.#engines.detach();
  }

  async #stop(): Promise<void> {
    await this.#inTime(this.#engines.stop());
    if (this.tasks.length === 0) throw new ErrnoError('ESRCH', `Process ${this.tgid} has ended`);
  }

  /** @throws {ErrnoError} ETIMEDOUT when it takes longer than threads may */
  async #inTime(stop: Promise<void>): Promise<void> {
    if (!(await isInTime(stop, this.#deadlineMs)))
      throw new ErrnoError('ETIMEDOUT', `Cannot stop all threads of process ${this.tgid}`);
  }
}

function canCall(task: Task): boolean {
  try {
    task.examination().systemCall(GETPPID, []);
    return true;
  } catch (error) {
    if (error instanceof ErrnoError && error.code === 'EAGAIN') return false;
    throw error;
  }
}
