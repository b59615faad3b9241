/**
 * The reports of a task: one event at a time, told to its engines by a Pass. Between the callbacks it stands in for the task
 * towards the pass; when all have answered it tells the task.
 */
import type { Verdict } from './actions.ts';
import type { Engine } from './engine.ts';
import type { EngineSet } from './engine-set.ts';
import { Pass, type PassOwner } from './pass.ts';
import type { Deferred } from './port.ts';
import type { Stop } from './stop.ts';
import type { TaskHost } from './task-host.ts';

/** What a task reports. */
export class Report implements PassOwner {
  readonly #host: TaskHost;
  readonly #stop: Stop;
  readonly #engines: EngineSet;
  readonly #finished: (event: number) => void;
  readonly #pass = new Pass(this);

  /** @param finished told when a report that `start` began is through */
  constructor(host: TaskHost, stop: Stop, engines: EngineSet, finished: (event: number) => void) {
    this.#host = host;
    this.#stop = stop;
    this.#engines = engines;
    this.#finished = finished;
  }

  /** Whether callbacks run or a promise of one is waited for. */
  get isActive(): boolean {
    return this.#pass.isActive;
  }

  /** What the last callback that said so wants to become of the signal or call; 0 when none did. */
  get disposition(): number {
    return this.#pass.disposition;
  }

  /** Reports an event, or 0 for QUIESCE alone; the task is told of the end in any case. */
  start(event: number): void {
    if (this.#pass.start(event)) this.#finished(event);
  }

  /** Reports an event. Returns whether all have answered; otherwise the task is told when they have. */
  run(event: number): boolean {
    return this.#pass.start(event);
  }

  get engines(): readonly Engine[] {
    return this.#engines.list;
  }

  callBack(engine: Engine, kind: number): Verdict | Promise<Verdict> {
    return this.#stop.tell(engine, kind, this.#pass.event);
  }

  failed(engine: Engine, reason: unknown): void {
    this.#host.failed(engine, reason);
  }

  afterDeadline(work: () => void): Deferred {
    return this.#host.after(this.#host.deadlineMs, work);
  }

  suspended(): void {
    this.#stop.keepCall(this.#host.port.systemCall);
    this.#host.suspended();
  }

  resumedToEnd(): void {
    this.#finished(this.#pass.event);
    this.#host.port.watch();
  }
}
