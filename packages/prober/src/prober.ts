/**
 * The Prober: it holds the probes of a user, knows which processes they are for, and has them in a program while somebody listens to
 * their events there. A program that nobody listens to is untouched.
 *
 *     ProbeSet -------- Probe            a definition in force
 *     ProbedPrograms -- ProbedProgram    a process that probes are for, and its provider file
 *           '---------- ProcessScan      which processes there are, and what they map
 *     TracedTrees ----- TracedTree       a process that is traced, with its children
 *
 * All of it runs on the thread that traces. What takes time is a tree's, which does one change after another.
 */
import { eventMatcher } from '@usertrace/base';
import type { Probe } from './probe.ts';
import { probeListing } from './probe-listing.ts';
import { ProbeSet, type ProbeSetListener } from './probe-set.ts';
import { ProbedPrograms } from './probed-programs.ts';
import type { ProberPeer } from './prober-peer.ts';
import { ProberPeers } from './prober-peers.ts';
import type { LaunchBody, ProbeListing, ProbeScope } from './protocol.ts';
import { mustBeReachable } from './reachability.ts';
import { sdtCommands } from './sdt-sites.ts';
import { SymbolFiles } from './symbol-files.ts';
import { TracedTrees } from './traced-trees.ts';

/** How often new processes are looked for, in milliseconds: so late a probe may be in one that was not launched here. */
const SCAN_INTERVAL_MS = 200;

/** A probe that is to be added. */
export interface AddRequest {
  readonly definition: string;
  readonly folder: string;
  readonly scope: ProbeScope;
  readonly filter?: string;
  readonly isKept: boolean;
}

export class Prober implements ProbeSetListener {
  readonly #files = new SymbolFiles();
  readonly #peers = new ProberPeers();
  readonly #probes: ProbeSet;
  readonly #programs: ProbedPrograms;
  readonly #trees: TracedTrees;
  #scannedAtMs = 0;

  /**
   * @param folder the runtime folder
   * @param uid whose processes are probed; 0: everybody's
   */
  constructor(folder: string, uid: number) {
    this.#probes = new ProbeSet(this.#files, this);
    this.#programs = new ProbedPrograms({ folder, uid, probes: this.#probes, peers: this.#peers });
    this.#trees = new TracedTrees(this.#programs, this.#peers);
  }

  /** Whether there is nothing to do. */
  get isIdle(): boolean {
    return this.#probes.all.length === 0 && !this.isTracing;
  }

  /** Whether a program is traced. */
  get isTracing(): boolean {
    return !this.#trees.isEmpty;
  }

  /** A client has come. */
  peerCame(peer: ProberPeer): void {
    this.#peers.add(peer);
  }

  /** A client has gone: its probes are taken away. */
  async peerGone(peer: ProberPeer): Promise<void> {
    this.#peers.remove(peer);
    this.#trees.writeHits('all');
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
    if (scope.kind === 'processes') for (const pid of scope.pids) this.#programs.scan.lookAt(pid);
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
    this.#programs.assignAll();
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
    this.#trees.writeHits('all');
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
    this.#programs.assignAll();
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
    try {
      await this.#trees.launch(body, probes);
    } catch (error) {
      for (const probe of probes) probe.exclude(body.standIn);
      throw error;
    }
  }

  /** Resolves when the probes that are listened to are in their programs, and others are not, as far as it can be. */
  async sync(): Promise<void> {
    this.#trees.settle();
    await this.#trees.settled();
    this.#trees.writeHits('all');
  }

  /** To be called some times a second: looks who listens, and which processes have come and gone. */
  turn(): void {
    if (performance.now() - this.#scannedAtMs >= SCAN_INTERVAL_MS && this.#probes.all.length > 0) {
      this.#lookForProcesses(this.#probes.all.some(({ scope }) => scope === 'all') ? 'due' : 'none');
      this.#programs.assignAll();
    }
    this.#trees.settle();
    this.#trees.writeHits('settledTime');
    this.#programs.turn();
  }

  /** Takes all probes away, lets go of all programs, and removes all files. */
  async close(): Promise<void> {
    this.#trees.writeHits('all');
    this.#probes.drop(this.#probes.all);
    await this.sync();
    this.#programs.close();
    await this.#trees.close();
  }

  /** What `probe list` shows. */
  listing(): ProbeListing[] {
    return this.#probes.all.map((probe) => probeListing(probe, this.#programs, this.#files));
  }

  isBusy(probe: Probe): boolean {
    return this.#programs.all.some((program) => program.isOn(probe));
  }

  added(): void {
    // Processes are given it when all of a definition's probes are there.
    this.#peers.changed();
  }

  removed(probe: Probe): void {
    this.#peers.changed();
    for (const program of this.#programs.all) program.remove(probe);
  }

  #tellWhoIsMissed(peer: ProberPeer, probe: Probe): void {
    const { filePath: path } = probe;
    const { fileIdentity: identity } = probe.definition;
    const { refusals, scan } = this.#programs;
    for (const pid of probe.pids) {
      const reason = refusals.reason(pid);
      if (reason !== undefined) peer.note(`process ${pid} cannot be probed: ${reason}`);
      else if (!scan.maps(pid, identity))
        peer.note(`process ${pid} has not mapped ${path}; it is probed as soon as it does`);
    }
    if (probe.scope !== 'all') return;
    const refused = refusals.all.filter(([pid]) => scan.maps(pid, identity));
    for (const [pid, reason] of refused) peer.note(`process ${pid} cannot be probed: ${reason}`);
    if (!this.#programs.all.some((program) => program.has(probe)) && refused.length === 0)
      peer.note(`no process has mapped ${path} yet; those that do are probed`);
  }

  /** The processes whose files an SDT name is looked for in. */
  #pidsOf(scope: ProbeScope): readonly number[] {
    return scope.kind === 'processes' ? scope.pids : this.#programs.scan.processes.map(({ pid }) => pid);
  }

  #lookForProcesses(mappings: 'all' | 'due' | 'none'): void {
    this.#scannedAtMs = performance.now();
    this.#programs.look(mappings);
    // What an ended process did last is in its lanes.
    this.#trees.writeHits('all');
    this.#programs.endGone();
  }
}
