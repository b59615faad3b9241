/**
 * Follows known tasks by the connector's events: fetches them, looks whether those that were born are still there, and
 * tells the tracker what it comes to, in order. When events were lost it has /proc searched for the rest.
 */
import type { Nanoseconds } from '@usertrace/base';
import type { DescendantSearch } from './descendant-search.ts';
import { type Birth, type Ending, EventFold } from './event-fold.ts';
import { isOther, type KnownTask, type KnownTasks, type TaskHooks } from './known-tasks.ts';
import type { EventSource, TaskPort, TaskSight } from './port.ts';
import { ToldTasks } from './told-tasks.ts';

/**
 * A task may exec or exit while its birth is worked off, and what it did before that is in events that came
 * meanwhile. So often those are fetched too; a rest waits for the next call.
 */
const MAX_ROUNDS = 8;

/** The follower. One for a tracker that has the connector. */
export class EventFollower {
  readonly #source: EventSource;
  readonly #port: TaskPort;
  readonly #known: KnownTasks;
  readonly #search: DescendantSearch;
  readonly #hooks: TaskHooks;
  /** When the last drain began that lost nothing: all events before that have been seen. */
  #drainedAt: Nanoseconds;
  readonly #told = new ToldTasks();
  /** Whether the events that come next happened during a search. */
  #hasSearched = false;

  constructor(
    source: EventSource,
    port: TaskPort,
    known: KnownTasks,
    search: DescendantSearch,
    hooks: TaskHooks,
  ) {
    this.#source = source;
    this.#port = port;
    this.#known = known;
    this.#search = search;
    this.#hooks = hooks;
    this.#drainedAt = port.now();
  }

  /**
   * Fetches the events that wait, and tells of what they come to.
   *
   * @returns `incomplete` when events were lost: every known task has to be looked at
   */
  fetch(): 'complete' | 'incomplete' {
    if (this.#fetchOnce() === 'complete') return 'complete';
    // What happened during the search.
    this.#fetchOnce();
    return 'incomplete';
  }

  #fetchOnce(): 'complete' | 'incomplete' {
    const unknownThreads = this.#hasSearched ? { strangersAmong: this.#told } : 'strangers';
    this.#hasSearched = false;
    const fold = new EventFold(this.#known, this.#hooks, unknownThreads);
    const sights = new Map<Birth, TaskSight>();
    const isComplete = this.#collect(fold, sights);
    const steps = fold.steps();
    if (isComplete) {
      this.#apply(steps, fold, sights);
      return 'complete';
    }
    // Who ended may have made tasks that we were not told of: they are found first.
    this.#apply(
      steps.filter(({ kind }) => kind === 'birth'),
      fold,
      sights,
    );
    // An event comes a little after its instant, and start times are in whole ticks: one more covers both.
    this.#search.findMadeSince(this.#port.ticksAt(this.#drainedAt) - 1, this.#told);
    this.#drainedAt = this.#port.now();
    this.#hasSearched = true;
    this.#apply(
      steps.filter(({ kind }) => kind !== 'birth'),
      fold,
      sights,
    );
    return 'incomplete';
  }

  /** Fetches events until no birth has ended behind our back. Returns whether none was lost. */
  #collect(fold: EventFold, sights: Map<Birth, TaskSight>): boolean {
    let isComplete = true;
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const startedAt = this.#port.now();
      const { events, overflowed } = this.#source.drain();
      if (overflowed && this.#known.size > 0) isComplete = false;
      else if (isComplete) this.#drainedAt = startedAt;
      for (const event of events) {
        // Where events are lost, an unknown parent need not be a stranger.
        if (isComplete && event.kind === 'fork') this.#told.add(event.childTid);
      }
      if (this.#known.size === 0) return true;
      fold.take(events);
      let hasEnded = false;
      for (const birth of fold.living) {
        const sight = sights.has(birth) ? undefined : this.#lookAtBirth(birth);
        if (typeof sight === 'object') sights.set(birth, sight);
        if (sight !== 'ended') continue;
        fold.markOver(birth);
        hasEnded = true;
      }
      if (!hasEnded) break;
    }
    return isComplete;
  }

  #lookAtBirth(birth: Birth): TaskSight | 'ended' | undefined {
    const sight = this.#port.look(birth.tid);
    if (typeof sight === 'string') return sight === 'gone' ? 'ended' : undefined;
    const image = EventFold.imageOf(birth);
    return isOther(sight.image, image) ? 'ended' : { ...sight, image };
  }

  #apply(steps: readonly (Birth | Ending)[], fold: EventFold, sights: ReadonlyMap<Birth, TaskSight>): void {
    const born = new Map<Birth, KnownTask | undefined>();
    for (const step of steps) {
      if (step.kind !== 'birth') {
        for (const task of step.tasks) this.#hooks.ended(task, step.kind);
        continue;
      }
      const source = fold.sourceOf(step);
      const parent = 'kind' in source ? born.get(source) : source;
      const sight = sights.get(step);
      if (parent !== undefined && sight !== undefined)
        born.set(step, this.#hooks.born({ tid: step.tid, pid: step.pid, parent, sight }));
    }
  }
}
