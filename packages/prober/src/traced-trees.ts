/**
 * `TracedTrees`: the programs that are traced, because somebody listens to their probes. It begins and ends what has to be changed, and
 * brings hits to the programs.
 */
import { ErrnoError, isInTime } from '@usertrace/base';
import type { Hit } from '@usertrace/uprobes';
import { openUtrace, type Utrace } from '@usertrace/utrace';
import type { Probe } from './probe.ts';
import type { ProbedProgram } from './probed-program.ts';
import type { ProbedPrograms } from './probed-programs.ts';
import type { ProberPeers } from './prober-peers.ts';
import type { LaunchBody } from './protocol.ts';
import { isTracedHere } from './reachability.ts';
import { TracedTree, type TreeListener } from './traced-tree.ts';

/** Programs that are traced at a time: each has descriptors and a table of its own. */
const TREES_MAX = 256;
/** How long threads may take to be let go at last. */
const CLOSE_PATIENCE_MS = 500;

export class TracedTrees implements TreeListener {
  readonly #programs: ProbedPrograms;
  readonly #peers: ProberPeers;
  readonly #utrace: Utrace;
  readonly #trees = new Set<TracedTree>();
  /** What happened before is out of the lanes, but for threads that are just writing it. */
  #drainedNs = 0n;

  /** @param peers are told of what cannot be done */
  constructor(programs: ProbedPrograms, peers: ProberPeers) {
    this.#programs = programs;
    this.#peers = peers;
    this.#utrace = openUtrace({ failed: (_, reason) => peers.note(String(reason)) });
  }

  /** Whether no program is traced. */
  get isEmpty(): boolean {
    return this.#trees.size === 0;
  }

  /**
   * Has a stand-in become a program with probes in it.
   *
   * @throws {ErrnoError} as TracedTree.launch()
   */
  async launch(body: LaunchBody, probes: ReadonlySet<Probe>): Promise<void> {
    const tree = new TracedTree(this.#utrace, this);
    this.#trees.add(tree);
    try {
      await tree.launch(body, probes);
    } catch (error) {
      this.#trees.delete(tree);
      throw error;
    }
    // Nothing of the program has run yet.
    this.#programs.began(body.standIn, undefined, probes);
    const program = this.#programs.assign(body.standIn);
    if (program !== undefined) program.tree = tree;
  }

  /** Begins what has to be changed, for probes to be where somebody listens to them and nowhere else. */
  settle(): void {
    const wantedByTree = new Map([...this.#trees].map((tree) => [tree, new Set<Probe>()]));
    for (const program of this.#programs.all) {
      const on = program.probes.filter((probe) => program.isWanted(probe));
      if (program.tree !== undefined) for (const probe of on) wantedByTree.get(program.tree)?.add(probe);
      else if (on.length > 0) this.#attach(program, new Set(on));
      else if (program.probes.length === 0) this.#programs.end(program);
    }
    for (const [tree, wanted] of wantedByTree) {
      if (!tree.hasBegun || tree.isLeaving) continue;
      if (wanted.size === 0 || tree.isEmpty) this.#letGo(tree);
      else if (!isSameSet(tree.wanted, wanted))
        tree.bring(wanted).catch((error: unknown) => this.refused(tree, error));
    }
  }

  /** Resolves when what was begun is done, or has failed. */
  async settled(): Promise<void> {
    await Promise.all([...this.#trees].map((tree) => tree.settled));
  }

  /**
   * Writes what the programs were hit by and what was missed.
   *
   * @param extent a hit that was stored late is older than what came out of the lanes before: in turns, hits of `settledTime` wait from
   *   one call to the following
   */
  writeHits(extent: 'all' | 'settledTime'): void {
    const now = process.hrtime.bigint();
    for (const tree of this.#trees) tree.drain();
    for (const program of this.#programs.all) program.release(extent === 'all' ? undefined : this.#drainedNs);
    for (const tree of this.#trees) tree.tellMisses();
    this.#drainedNs = now;
  }

  /** Ends the tracing. All programs have to be let go before; a thread that could not be stopped for it is with the end of this process. */
  async close(): Promise<void> {
    await isInTime(this.#utrace.close(), CLOSE_PATIENCE_MS);
  }

  began({ wanted }: TracedTree, pid: number, parentPid: number | undefined): void {
    this.#programs.began(pid, parentPid, wanted);
  }

  ended(_: TracedTree, pid: number): void {
    this.#programs.ended(pid);
  }

  hit(tree: TracedTree, probe: Probe, hit: Hit): void {
    const known = this.#programs.of(hit.tgid);
    const program = known?.has(probe) === true ? known : this.#adopt(tree, probe, hit.tgid);
    if (program === undefined) return;
    // A thread that has ended meanwhile has no name any more.
    program.take(
      probe,
      hit,
      hit.comm === '' && hit.tid === hit.tgid ? this.#programs.commOf(program) : hit.comm,
    );
  }

  missed(tree: TracedTree, probe: Probe, count: number): void {
    probe.misses += count;
    const programs = this.#programs.all.filter((program) => program.tree === tree && program.has(probe));
    const program = programs.find((one) => one.isWanted(probe)) ?? programs[0];
    program?.miss(probe, count);
  }

  refused(tree: TracedTree, reason: unknown): void {
    const text = reason instanceof Error ? reason.message : String(reason);
    for (const program of this.#programs.all) {
      if (program.tree !== tree) continue;
      for (const probe of program.probes) {
        const counts = program.counts(probe);
        if (counts !== undefined && tree.wanted.has(probe)) counts.refusal = text;
      }
    }
    this.#peers.note(text);
  }

  /** A child of a traced program was hit, or one that has executed another, before the scan has seen it. */
  #adopt(tree: TracedTree, probe: Probe, pid: number): ProbedProgram | undefined {
    const program = this.#programs.assign(pid, probe);
    if (program !== undefined) program.tree = tree;
    return program;
  }

  #attach(program: ProbedProgram, probes: ReadonlySet<Probe>): void {
    const { pid } = program.found;
    const { refusals } = this.#programs;
    if (refusals.has(pid)) return;
    const around = [...this.#trees].find((tree) => tree.hasProcess(pid));
    if (around !== undefined) {
      // One that is being let go is looked at again when that is done.
      program.tree = around.isLeaving ? undefined : around;
      return;
    }
    // One whose birth has not been told of yet will be in its parent's tree; two tracers would not know of each other's probes in it.
    if (isTracedHere(pid)) return;
    if (this.#trees.size >= TREES_MAX) {
      refusals.add(pid, `${TREES_MAX} programs are traced at a time`);
      return;
    }
    const tree = new TracedTree(this.#utrace, this);
    this.#trees.add(tree);
    program.tree = tree;
    tree.attach(pid, probes).catch((error: unknown) => {
      const reason = error instanceof Error ? error.message : String(error);
      // Late ones are there when they stop.
      if (error instanceof ErrnoError && error.code === 'ETIMEDOUT') return;
      refusals.add(pid, reason);
      if (!(error instanceof ErrnoError && error.code === 'ESRCH'))
        this.#peers.note(`process ${pid} cannot be probed: ${reason}`);
      this.#letGo(tree);
    });
  }

  #letGo(tree: TracedTree): void {
    if (!this.#trees.has(tree) || tree.isLeaving) return;
    this.writeHits('all');
    for (const program of this.#programs.all) if (program.tree === tree) program.tree = undefined;
    tree
      .close()
      .catch((error: unknown) => this.#peers.note((error as Error).message))
      .finally(() => this.#trees.delete(tree));
  }
}

function isSameSet<Item>(one: ReadonlySet<Item>, other: ReadonlySet<Item>): boolean {
  return one.size === other.size && [...one].every((item) => other.has(item));
}
