/**
 * The Prober: it holds the probes of a user, knows which processes they are for, and has them in a program while somebody listens to
 * their events there. A program that nobody listens to is untouched.
 *
 *     ProbeSet ---- Probe            a definition in force
 *     ProcessScan                    which processes there are, and what they map
 *     ProbedProgram -- provider file the events of a process, and who listens to them
 *     TracedTree -- ProbeTracer      a process that is traced, with its children
 *
 * All of it runs on the thread that traces. What takes time is a tree's, which does one change after another.
 */
import { ErrnoError, eventMatcher } from '@usertrace/base';
import { type ProbeProvider, ProbeProviders } from '@usertrace/recording';
import { type Hit, probeFormatText } from '@usertrace/uprobes';
import { openUtrace, type Utrace } from '@usertrace/utrace';
import { HitRecords } from './hit-records.ts';
import type { Probe } from './probe.ts';
import { ProbeSet, type ProbeSetListener } from './probe-set.ts';
import { ProbedProgram } from './probed-program.ts';
import type { ProberPeer } from './prober-peer.ts';
import { type FoundProcess, ProcessScan, readProcess } from './process-scan.ts';
import type { LaunchBody, ProbeListing, ProbeScope } from './protocol.ts';
import { whyUnreachable } from './reachability.ts';
import { sdtCommands } from './sdt-sites.ts';
import { SymbolFiles } from './symbol-files.ts';
import { TracedTree, type TreeListener } from './traced-tree.ts';

/** How often new processes are looked for, in milliseconds: so late a probe may be in one that was not launched here. */
const SCAN_INTERVAL_MS = 200;
/** After a process could not be traced. */
const RETRY_INTERVAL_MS = 2_000;
/** Programs that are traced at a time: each has descriptors and a table of its own. */
const TREES_MAX = 256;
/** Pages of 4 KiB of a process's lane: 4 MiB. */
const LANE_PAGES = 1024;

/** A probe that is to be added. */
export interface AddRequest {
  readonly definition: string;
  readonly folder: string;
  readonly scope: ProbeScope;
  readonly filter?: string;
  readonly isKept: boolean;
}

export class Prober implements TreeListener, ProbeSetListener {
  readonly #utrace: Utrace;
  readonly #files = new SymbolFiles();
  readonly #scan: ProcessScan;
  readonly #providers: ProbeProviders;
  readonly #probes: ProbeSet;
  readonly #peers = new Set<ProberPeer>();
  readonly #programsByPid = new Map<number, ProbedProgram>();
  readonly #trees = new Set<TracedTree>();
  /** Processes of trees as they were when they were born or executed a program: some end before they are looked at. */
  readonly #tracedByPid = new Map<number, FoundProcess>();
  /** Why processes cannot be probed, until when it is not tried again. */
  readonly #refusalsByPid = new Map<number, { readonly reason: string; readonly untilMs: number }>();
  readonly #records = new HitRecords();
  /** What happened before is out of the lanes, but for threads that are just writing it. */
  #drainedNs = 0n;
  #scannedAtMs = 0;

  /**
   * @param folder the runtime folder
   * @param uid whose processes are probed; 0: everybody's
   */
  constructor(folder: string, uid: number) {
    this.#utrace = openUtrace({ failed: (_, reason) => this.#warn(String(reason)) });
    this.#scan = new ProcessScan(uid);
    this.#providers = new ProbeProviders(folder, LANE_PAGES);
    this.#probes = new ProbeSet(this.#files, this);
  }

  /** Whether there is nothing to do. */
  get isIdle(): boolean {
    return this.#probes.all.length === 0 && this.#trees.size === 0;
  }

  /** A client has come. */
  peerCame(peer: ProberPeer): void {
    this.#peers.add(peer);
  }

  /** A client has gone: its probes are taken away. */
  async peerGone(peer: ProberPeer): Promise<void> {
    this.#peers.delete(peer);
    this.#writeHits();
    this.#probes.drop(this.#probes.all.filter(({ owner }) => owner === peer));
    await this.sync();
  }

  /**
   * Adds the probes of a definition.
   *
   * @returns their events
   * @throws {DefinitionRefusal} as the kernel refuses it
   * @throws {FilterRefusal} as the kernel refuses the filter
   * @throws {ErrnoError} ESRCH or EPERM for a process that is named and cannot be traced
   */
  async add(
    peer: ProberPeer,
    { definition, folder, scope, filter, isKept }: AddRequest,
  ): Promise<{ events: { group: string; event: string }[] }> {
    if (scope.kind === 'processes') scope.pids.forEach(mustBeReachable);
    this.#lookForProcesses(scope.kind === 'all' ? 'all' : 'none');
    if (scope.kind === 'processes') for (const pid of scope.pids) this.#scan.lookAt(pid);
    const terms = { scope, owner: isKept ? undefined : peer };
    const added: Probe[] = [];
    try {
      if (definition.startsWith('sdt:')) {
        const { commands, notes } = sdtCommands(definition, this.#pidsOf(scope));
        for (const note of notes) peer.note(note);
        for (const command of commands) added.push(this.#probes.add(command, folder, terms));
      } else added.push(this.#probes.add(definition, folder, terms));
      if (filter !== undefined) for (const probe of added) probe.filterBy(filter);
    } catch (error) {
      this.#probes.drop(added);
      throw error;
    }
    this.#assignAll();
    await this.sync();
    for (const probe of added) this.#tellWhoIsMissed(peer, probe);
    const events = new Map(
      added.map(({ eventName, definition: { group, event } }) => [eventName, { group, event }]),
    );
    return { events: [...events.values()] };
  }

  /**
   * Removes the kept probes, and a client's own, whose names match.
   *
   * @throws {ErrnoError} ENOENT when there is none, EBUSY when one is listened to
   */
  async remove(peer: ProberPeer, pattern: string): Promise<string[]> {
    this.#writeHits();
    const removed = this.#probes.removeMatching(
      pattern,
      ({ owner }) => owner === undefined || owner === peer,
    );
    await this.sync();
    return removed;
  }

  /**
   * Does what a line of uprobe_events says.
   *
   * @throws {DefinitionRefusal} as the kernel refuses it
   */
  async execute(peer: ProberPeer, line: string, folder: string): Promise<void> {
    this.#lookForProcesses('all');
    this.#probes.execute(line, folder, peer);
    this.#assignAll();
    await this.sync();
  }

  /** @throws {DefinitionRefusal} EBUSY when one is listened to */
  async clear(): Promise<void> {
    this.#probes.clear();
    await this.sync();
  }

  /**
   * Has a stand-in become a program with the client's probes in it, and their events on.
   *
   * @throws {ErrnoError} what execve(2) answered, or why the stand-in cannot be traced
   */
  async launch(peer: ProberPeer, body: LaunchBody): Promise<void> {
    mustBeReachable(body.standIn);
    const matchers = body.patterns.map(eventMatcher);
    const isWanted = ({ owner, scope, definition: { group, event } }: Probe): boolean =>
      scope === 'launched'
        ? owner === peer
        : scope === 'all' && matchers.some((matches) => matches(group, event));
    const probes = new Set(this.#probes.all.filter(isWanted));
    for (const probe of probes) probe.include(body.standIn);
    const tree = new TracedTree(this.#utrace, this);
    this.#trees.add(tree);
    try {
      await tree.launch(body, probes);
    } catch (error) {
      for (const probe of probes) probe.exclude(body.standIn);
      this.#trees.delete(tree);
      throw error;
    }
    // Nothing of the program has run yet.
    const found = this.#scan.lookAt(body.standIn);
    const program = found === undefined ? undefined : this.#assign(found);
    if (program === undefined) return;
    program.tree = tree;
  }

  /** Resolves when the probes that are listened to are in their programs, and others are not, as far as it can be. */
  async sync(): Promise<void> {
    this.#settle();
    await Promise.all([...this.#trees].map(({ settled }) => settled));
    this.#writeHits();
  }

  /** To be called some times a second: looks who listens, and which processes have come and gone. */
  turn(): void {
    if (performance.now() - this.#scannedAtMs >= SCAN_INTERVAL_MS && this.#probes.all.length > 0) {
      this.#lookForProcesses(this.#probes.all.some(({ scope }) => scope === 'all') ? 'due' : 'none');
      this.#assignAll();
    }
    this.#settle();
    this.#writeHits(this.#drainedNs);
    this.#providers.turn();
  }

  /** Takes all probes away, lets go of all programs, and removes all files. */
  async close(): Promise<void> {
    this.#writeHits();
    this.#probes.drop(this.#probes.all);
    await this.sync();
    this.#providers.close();
    await this.#utrace.close();
  }

  /** What `probe list` shows. */
  listing(): ProbeListing[] {
    return this.#probes.all.map((probe) => {
      const { definition, filePath: path, owner, scope, hits, misses, line } = probe;
      const { group, event, offset } = definition;
      const symbol = this.#files.symbolAt(path, offset);
      const programs = [...this.#programsByPid.values()].filter((program) => program.has(probe));
      return {
        definition: line,
        group,
        event,
        path,
        scope,
        format: probeFormatText(definition, 0),
        hits,
        misses,
        ...(symbol === undefined ? {} : { symbol }),
        ...(owner === undefined ? {} : { client: owner.pid }),
        processes: programs.map((program) => this.#programListing(program, probe)),
      };
    });
  }

  isBusy(probe: Probe): boolean {
    return [...this.#programsByPid.values()].some((program) => program.isOn(probe));
  }

  added(): void {
    // Processes are given it when all of a definition's probes are there.
    for (const peer of this.#peers) peer.changed();
  }

  removed(probe: Probe): void {
    for (const peer of this.#peers) peer.changed();
    for (const program of this.#programsByPid.values()) program.remove(probe);
  }

  began(_: TracedTree, pid: number, parentPid: number | undefined): void {
    if (parentPid !== undefined) this.#inherit(pid, parentPid);
    const found = readProcess(pid);
    if (found !== undefined) this.#tracedByPid.set(pid, found);
  }

  ended(_: TracedTree, pid: number): void {
    this.#tracedByPid.delete(pid);
    if (!this.#programsByPid.has(pid)) this.#exclude(pid);
  }

  hit(tree: TracedTree, probe: Probe, hit: Hit): void {
    const program = this.#programsByPid.get(hit.tgid) ?? this.#adopt(tree, hit.tgid);
    if (program === undefined) return;
    // A thread that has ended meanwhile has no name any more.
    program.take(probe, hit, hit.comm === '' && hit.tid === hit.tgid ? program.found.comm : hit.comm);
  }

  refused(tree: TracedTree, reason: unknown): void {
    const text = reason instanceof Error ? reason.message : String(reason);
    for (const program of this.#programsByPid.values()) {
      if (program.tree !== tree) continue;
      for (const probe of program.probes) {
        const counts = program.counts(probe);
        if (counts !== undefined && tree.wanted.has(probe)) counts.refusal = text;
      }
    }
    this.#warn(text);
  }

  #programListing(program: ProbedProgram, probe: Probe): ProbeListing['processes'][number] {
    const { found, tree } = program;
    const { hits, misses, refusal } = program.counts(probe) ?? { hits: 0, misses: 0, refusal: undefined };
    const reason = refusal ?? this.#refusalsByPid.get(found.pid)?.reason;
    const listing = { pid: found.pid, comm: found.comm, hits, misses };
    if (reason !== undefined) return { ...listing, state: 'refused', reason };
    const places = tree?.hasProbe(probe) === true ? tree.places(probe, found.pid) : [];
    // The places of a return probe are a jump when all are.
    const worst = places.find(({ kind }) => kind === 'refused') ?? places.find(({ kind }) => kind !== 'jump');
    const { kind: state, reason: why } = worst ?? places[0] ?? { kind: 'idle' as const, reason: undefined };
    return { ...listing, state, ...(why === undefined ? {} : { reason: why }) };
  }

  #warn(text: string): void {
    for (const peer of this.#peers) peer.note(text);
  }

  #tellWhoIsMissed(peer: ProberPeer, probe: Probe): void {
    const { filePath: path } = probe;
    const { fileIdentity: identity } = probe.definition;
    for (const pid of probe.pids) {
      const refusal = this.#refusalsByPid.get(pid);
      if (refusal !== undefined) peer.note(`process ${pid} cannot be probed: ${refusal.reason}`);
      else if (!this.#scan.maps(pid, identity))
        peer.note(`process ${pid} has not mapped ${path}; it is probed as soon as it does`);
    }
    if (probe.scope !== 'all') return;
    const refused = [...this.#refusalsByPid].filter(([pid]) => this.#scan.maps(pid, identity));
    for (const [pid, { reason }] of refused) peer.note(`process ${pid} cannot be probed: ${reason}`);
    if (![...this.#programsByPid.values()].some((program) => program.has(probe)) && refused.length === 0)
      peer.note(`no process has mapped ${path} yet; those that do are probed`);
  }

  /** The processes whose files an SDT name is looked for in. */
  #pidsOf(scope: ProbeScope): readonly number[] {
    return scope.kind === 'processes' ? scope.pids : this.#scan.processes.map(({ pid }) => pid);
  }

  #lookForProcesses(mappings: 'all' | 'due' | 'none'): void {
    this.#scannedAtMs = performance.now();
    const before = new Set(this.#scan.processes.map(({ pid }) => pid));
    this.#scan.look(mappings);
    for (const { pid, parentPid } of this.#scan.processes)
      if (!before.has(pid)) this.#inherit(pid, parentPid);
    // What an ended process did last is in its lanes.
    this.#writeHits();
    for (const program of this.#programsByPid.values()) {
      const { pid, startTicks } = program.found;
      if (this.#scan.process(pid)?.startTicks !== startTicks) this.#end(program);
    }
    for (const [pid, { untilMs }] of this.#refusalsByPid)
      if (performance.now() > untilMs || this.#scan.process(pid) === undefined)
        this.#refusalsByPid.delete(pid);
  }

  /** A child is probed for what its parent is probed for. */
  #inherit(pid: number, parentPid: number): void {
    for (const probe of this.#probes.all) if (probe.pids.has(parentPid)) probe.include(pid);
  }

  #assignAll(): void {
    for (const found of this.#scan.processes) this.#assign(found);
  }

  /**
   * Gives a process the probes that are for it.
   *
   * @returns undefined when none is, or it cannot be probed
   */
  #assign(found: FoundProcess): ProbedProgram | undefined {
    const { pid } = found;
    const probes = this.#probes.all.filter((probe) => this.#isFor(probe, pid));
    let program = this.#programsByPid.get(pid);
    if (probes.length === 0 || this.#refusalsByPid.has(pid)) return program;
    if (program === undefined) {
      const provider = this.#makeProvider(found);
      if (provider === undefined) return undefined;
      program = new ProbedProgram(found, provider, this.#records);
      this.#programsByPid.set(pid, program);
    }
    const isNew = program.probes.length === 0;
    try {
      for (const probe of probes) if (!program.has(probe)) program.add(probe);
    } catch (error) {
      this.#refuse(pid, (error as Error).message);
    }
    // Its recorder may find it later than it is hit.
    const launched = probes.filter((probe) => probe.isOnFromStart(pid)).map(({ eventName }) => eventName);
    if (isNew && launched.length > 0) program.switchOn(launched);
    return program;
  }

  /** Whether a probe is to be seen in a process: it was named, or has mapped the file. */
  #isFor(probe: Probe, pid: number): boolean {
    if (probe.pids.has(pid)) return true;
    if (probe.scope !== 'all') return false;
    const isClient = [...this.#peers].some((peer) => peer.pid === pid);
    return !isClient && this.#scan.maps(pid, probe.definition.fileIdentity);
  }

  #makeProvider(found: FoundProcess): ProbeProvider | undefined {
    const { pid } = found;
    const unreachable = this.#tracedByPid.has(pid) ? undefined : whyUnreachable(pid);
    if (unreachable !== undefined) {
      this.#refuse(pid, unreachable.reason);
      return undefined;
    }
    try {
      return this.#providers.create(found);
    } catch (error) {
      this.#refuse(pid, (error as Error).message);
      return undefined;
    }
  }

  #refuse(pid: number, reason: string): void {
    this.#refusalsByPid.set(pid, { reason, untilMs: performance.now() + RETRY_INTERVAL_MS });
  }

  /** A child of a traced program was hit before the scan has seen it. */
  #adopt(tree: TracedTree, pid: number): ProbedProgram | undefined {
    const found = this.#scan.lookAt(pid) ?? this.#tracedByPid.get(pid);
    if (found === undefined) return undefined;
    const program = this.#assign(found);
    if (program !== undefined) program.tree = tree;
    return program;
  }

  /** Begins what has to be changed. */
  #settle(): void {
    const wantedByTree = new Map([...this.#trees].map((tree) => [tree, new Set<Probe>()]));
    for (const program of this.#programsByPid.values()) {
      const on = [...program.probes].filter((probe) => program.isOn(probe));
      if (program.tree !== undefined) for (const probe of on) wantedByTree.get(program.tree)?.add(probe);
      else if (on.length > 0) this.#attach(program, new Set(on));
      else if (program.probes.length === 0) this.#end(program);
    }
    for (const [tree, wanted] of wantedByTree) {
      if (!tree.hasBegun || tree.isLeaving) continue;
      if (wanted.size === 0 || tree.isEmpty) this.#letGo(tree);
      else if (!isSameSet(tree.wanted, wanted))
        tree.bring(wanted).catch((error: unknown) => this.refused(tree, error));
    }
  }

  #attach(program: ProbedProgram, probes: ReadonlySet<Probe>): void {
    const { pid } = program.found;
    if (this.#refusalsByPid.has(pid)) return;
    const around = this.#treeAround(pid);
    if (around !== undefined) {
      // One that is being let go is looked at again when that is done.
      program.tree = around.isLeaving ? undefined : around;
      return;
    }
    if (this.#trees.size >= TREES_MAX) {
      this.#refuse(pid, `${TREES_MAX} programs are traced at a time`);
      return;
    }
    const tree = new TracedTree(this.#utrace, this);
    this.#trees.add(tree);
    program.tree = tree;
    tree.attach(pid, probes).catch((error: unknown) => {
      const reason = error instanceof Error ? error.message : String(error);
      // Late ones are there when they stop.
      if (error instanceof ErrnoError && error.code === 'ETIMEDOUT') return;
      this.#refuse(pid, reason);
      if (!(error instanceof ErrnoError && error.code === 'ESRCH'))
        this.#warn(`process ${pid} cannot be probed: ${reason}`);
      this.#letGo(tree);
    });
  }

  /**
   * A hit that was stored late is older than what came out of the lanes before: in turns, hits wait from one drain to the following.
   *
   * @param untilNs those up to this time, CLOCK_MONOTONIC; all without it
   */
  #writeHits(untilNs?: bigint): void {
    const now = process.hrtime.bigint();
    for (const tree of this.#trees) tree.drain();
    for (const program of this.#programsByPid.values()) program.release(untilNs);
    for (const tree of this.#trees) this.#countMisses(tree);
    this.#drainedNs = now;
  }

  /** Lanes are shared by the processes of a tree, and so what found no room there is counted for one of them. */
  #countMisses(tree: TracedTree): void {
    for (const probe of tree.wanted) {
      const misses = tree.takeMisses(probe);
      if (misses <= 0) continue;
      const program = [...this.#programsByPid.values()].find((one) => one.tree === tree && one.has(probe));
      program?.miss(probe, misses);
    }
  }

  #treeAround(pid: number): TracedTree | undefined {
    return [...this.#trees].find((tree) => tree.hasProcess(pid));
  }

  #letGo(tree: TracedTree): void {
    if (!this.#trees.has(tree) || tree.isLeaving) return;
    this.#writeHits();
    for (const program of this.#programsByPid.values()) if (program.tree === tree) program.tree = undefined;
    tree
      .close()
      .catch((error: unknown) => this.#warn((error as Error).message))
      .finally(() => this.#trees.delete(tree));
  }

  #end(program: ProbedProgram): void {
    const { pid } = program.found;
    this.#programsByPid.delete(pid);
    program.release();
    this.#providers.end(program.provider);
    this.#exclude(pid);
  }

  /** A process has ended. A probe that stays, for processes that were named, goes with the last of them. */
  #exclude(pid: number): void {
    for (const probe of this.#probes.all) {
      if (!probe.pids.has(pid)) continue;
      probe.exclude(pid);
      const { scope, owner, pids } = probe;
      if (scope === 'processes' && owner === undefined && pids.size === 0) this.#probes.drop([probe]);
    }
  }
}

/** @throws {ErrnoError} when a process cannot be traced */
function mustBeReachable(pid: number): void {
  const unreachable = whyUnreachable(pid);
  if (unreachable !== undefined)
    throw new ErrnoError(unreachable.code, `Cannot probe process ${pid}: ${unreachable.reason}`);
}

function isSameSet<Item>(one: ReadonlySet<Item>, other: ReadonlySet<Item>): boolean {
  return one.size === other.size && [...one].every((item) => other.has(item));
}
