/**
 * `TracedTree`: a process that is traced for its probes, with the children it has from then on. Its probes are those that somebody
 * listens to in one of its processes; with the last of them the tree is let go. Changes are made one after another.
 */
import { type Hit, type ProbeState, ProbeTracer } from '@usertrace/uprobes';
import { type Callbacks, Event, type ProcessEngine, type Utrace } from '@usertrace/utrace';
import type { Probe } from './probe.ts';
import type { LaunchBody } from './protocol.ts';

/** Between two looks: more than a program can call in hours. */
const MISSES_AT_ONCE_MAX = 2 ** 40;

/** Who is told of what happens in a tree. */
export interface TreeListener {
  /** A process has begun to execute a program, or was born, and has not run yet. */
  began(tree: TracedTree, pid: number, parentPid: number | undefined): void;
  /** A process has ended; what it was hit by has been told. */
  ended(tree: TracedTree, pid: number): void;
  hit(tree: TracedTree, probe: Probe, hit: Hit): void;
  /** Hits of a probe found no room. Lanes are shared by the processes of a tree, so it is not known in which one. */
  missed(tree: TracedTree, probe: Probe, count: number): void;
  /** A probe cannot be put into a program of the tree. */
  refused(tree: TracedTree, reason: unknown): void;
}

export class TracedTree {
  /** The probes that were asked for last; they are there when `settled` is done. */
  wanted: ReadonlySet<Probe> = new Set();
  readonly #utrace: Utrace;
  readonly #tracer: ProbeTracer;
  readonly #listener: TreeListener;
  /** Those in force, with what takes them away; undefined for one that was late, which goes with the tracer. */
  readonly #removalByProbe = new Map<Probe, (() => Promise<void>) | undefined>();
  /** Misses that were told, or were there before the probe. */
  readonly #missesByProbe = new Map<Probe, number>();
  #group: ProcessEngine | undefined;
  #births: ProcessEngine | undefined;
  #isLeaving = false;
  #last: Promise<void> = Promise.resolve();

  constructor(utrace: Utrace, listener: TreeListener) {
    this.#utrace = utrace;
    this.#listener = listener;
    this.#tracer = new ProbeTracer(utrace, (reason) => listener.refused(this, reason));
  }

  /** Whether a process is in the tree. */
  hasProcess(pid: number): boolean {
    return this.#group?.has(pid) ?? false;
  }

  /** Whether its first process is traced. */
  get hasBegun(): boolean {
    return this.#group !== undefined;
  }

  /** Whether it is being let go. */
  get isLeaving(): boolean {
    return this.#isLeaving;
  }

  /** Whether it has no process any more. */
  get isEmpty(): boolean {
    return this.#group?.engines.size === 0;
  }

  /** Whether a probe is in force in it. */
  hasProbe(probe: Probe): boolean {
    return this.#removalByProbe.has(probe);
  }

  /** Resolves when what was asked for is done or has failed. */
  get settled(): Promise<void> {
    return this.#last;
  }

  /**
   * Traces a process, with probes in it when this is done.
   *
   * @throws {ErrnoError} as ProbeTracer.attach()
   */
  attach(pid: number, probes: ReadonlySet<Probe>): Promise<void> {
    this.wanted = probes;
    return this.#after(async () => {
      await this.#bring(probes);
      this.#watch(pid);
      this.#group = await this.#tracer.attach(pid);
    });
  }

  /**
   * Has a stand-in become a program that has probes from its first instruction on.
   *
   * @throws {ErrnoError} as Utrace.spawn()
   */
  launch({ command, args, env, standIn }: LaunchBody, probes: ReadonlySet<Probe>): Promise<void> {
    this.wanted = probes;
    return this.#after(async () => {
      await this.#bring(probes);
      this.#group = this.#tracer.spawn({ command, args, env, standIn });
      this.#watch(standIn);
    });
  }

  /**
   * Brings the programs to these probes.
   *
   * @throws {ErrnoError} ETIMEDOUT when a program does not stop for it
   */
  bring(probes: ReadonlySet<Probe>): Promise<void> {
    this.wanted = probes;
    return this.#after(() => this.#bring(probes));
  }

  /** What a probe has become in a process; a return probe has several places. */
  places(probe: Probe, pid: number): readonly ProbeState[] {
    return this.#tracer.places().filter((state) => state.pid === pid && state.definition === probe.traced);
  }

  /** Tells the hits of jumps up to now. */
  drain(): void {
    this.#tracer.drain();
  }

  /** Tells what was missed up to now. */
  tellMisses(): void {
    for (const [probe, told] of this.#missesByProbe) {
      const misses = this.#tracer.misses(probe.traced);
      const count = misses - told;
      this.#missesByProbe.set(probe, misses);
      // Programs can write what they like where they count.
      if (count > 0 && count <= MISSES_AT_ONCE_MAX) this.#listener.missed(this, probe, count);
    }
  }

  /**
   * Takes all probes away and lets go.
   *
   * @throws {ErrnoError} ETIMEDOUT when a program does not stop for it
   */
  close(): Promise<void> {
    this.#isLeaving = true;
    return this.#after(async () => {
      this.#removalByProbe.clear();
      try {
        await this.#tracer.close();
        this.tellMisses();
      } finally {
        await this.#births?.detach();
      }
    });
  }

  /** Follows births and ends, so that hits of a process which lives for a millisecond are known for its own. */
  #watch(pid: number): void {
    const callbacks: Callbacks = {
      clone: ({ task }, child, birth) => {
        if (!birth.isThread) this.#listener.began(this, child.tgid, task.tgid);
      },
      exec: ({ task }) => this.#listener.began(this, task.tgid, undefined),
      death: ({ task }) => {
        if (task.tid !== task.tgid) return;
        this.#tracer.drain();
        this.#listener.ended(this, task.tgid);
      },
    };
    const events = Event.CLONE | Event.EXEC | Event.DEATH;
    this.#births = this.#utrace.attach(pid, callbacks, { events, follow: true });
  }

  async #bring(probes: ReadonlySet<Probe>): Promise<void> {
    for (const [probe, remove] of this.#removalByProbe) {
      if (probes.has(probe) || remove === undefined) continue;
      this.#removalByProbe.delete(probe);
      // With the last probe at its places, their counts go.
      this.drain();
      this.tellMisses();
      this.#missesByProbe.delete(probe);
      await remove();
    }
    for (const probe of probes) {
      if (this.#removalByProbe.has(probe)) continue;
      this.#removalByProbe.set(probe, undefined);
      this.#missesByProbe.set(probe, this.#tracer.misses(probe.traced));
      const remove = await this.#tracer.add(probe.traced, (hit) => this.#listener.hit(this, probe, hit));
      this.#removalByProbe.set(probe, remove);
    }
  }

  #after(change: () => Promise<void>): Promise<void> {
    const done = this.#last.then(change);
    this.#last = done.catch(() => undefined);
    return done;
  }
}
