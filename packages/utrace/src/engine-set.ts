/**
 * The engines of one task, in the order in which they attached, and what they want together. Its task holds it; while a report
 * runs engines are added to it, and none is taken out.
 */
import { ErrnoError } from '@usertrace/base';
import { Action } from './actions.ts';
import type { Engine } from './engine.ts';

/** Engines of one task. */
const MAX_ENGINES = 64;

/** A task's engines. */
export class EngineSet {
  /** Bits of Event that some engine wants. */
  events = 0;
  /** A report has been asked for by REPORT or INTERRUPT, or a stop that was not there yet. */
  owesReport = false;
  /**
   * An engine may want something else than to go on: one answered, or was asked, since the task went on last. Mostly none did, and
   * a stop costs less when they need not be asked one by one.
   */
  hasWishes = false;
  /** The one engine, if there is one alone: what most tasks have. */
  only: Engine | undefined;
  #engines: Engine[] = [];

  get list(): readonly Engine[] {
    return this.#engines;
  }

  /** Whether an engine keeps the task stopped. */
  get wantsStop(): boolean {
    if (!this.hasWishes) return false;
    for (const engine of this.#engines) if (engine.wantsStop && isAttached(engine)) return true;
    return false;
  }

  /** @throws {ErrnoError} ENOSPC at the limit of 64 engines */
  add(engine: Engine): void {
    if (this.#engines.length >= MAX_ENGINES)
      throw new ErrnoError(
        'ENOSPC',
        `Cannot attach more than ${MAX_ENGINES} engines to task ${engine.task.tid}`,
      );
    this.#engines.push(engine);
    this.#noteOnly();
  }

  /** Counts anew what attached engines want to be told of. */
  countEvents(): void {
    let events = 0;
    for (const engine of this.#engines) if (engine.attachment === 'attached') events |= engine.events;
    this.events = events;
  }

  /**
   * The lowest of all engines' wishes; one resume uses them up.
   *
   * @param lowest what is wanted besides
   */
  takeWish(lowest: number): number {
    if (!this.hasWishes) return lowest;
    this.hasWishes = false;
    let wish = lowest;
    for (const engine of this.#engines) {
      if (engine.wish < wish) wish = engine.wish;
      engine.wish = Action.RESUME;
    }
    return wish;
  }

  /** REPORT and INTERRUPT, answered by callbacks, ask for a report before the task goes on. */
  takeReportWishes(): void {
    if (!this.hasWishes) return;
    for (const engine of this.#engines) {
      if (engine.wish >= Action.SINGLESTEP) continue;
      this.owesReport = true;
      engine.wish = Action.RESUME;
    }
  }

  /** Takes out those that were detached, and returns them. Not while a report runs. */
  dropDetached(): readonly Engine[] {
    if (!this.hasWishes || !this.#hasDetached()) return NONE;
    const dropped = this.#engines.filter((engine) => !isAttached(engine));
    this.#engines = this.#engines.filter(isAttached);
    this.#noteOnly();
    this.countEvents();
    letGo(dropped);
    return dropped;
  }

  #noteOnly(): void {
    this.only = this.#engines.length === 1 ? this.#engines[0] : undefined;
  }

  #hasDetached(): boolean {
    for (const { attachment } of this.#engines) if (attachment !== 'attached') return true;
    return false;
  }

  /** Takes all out: the task was reaped. */
  reap(): void {
    const engines = this.#engines;
    this.#engines = [];
    this.#noteOnly();
    for (const engine of engines) if (engine.attachment === 'attached') engine.attachment = 'reaped';
    letGo(engines);
  }
}

const NONE: readonly Engine[] = [];

function isAttached(engine: Engine): boolean {
  return engine.attachment === 'attached';
}

function letGo(engines: readonly Engine[]): void {
  for (const engine of engines) {
    engine.isListed = false;
    engine.releaseIfUnused();
  }
}
