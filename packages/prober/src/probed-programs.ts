/**
 * `ProbedPrograms`: the processes that probes are for, each with its provider file. It looks which processes there are, gives them
 * their probes, and ends those that have ended.
 */
import { type ProbeProvider, ProbeProviders } from '@usertrace/recording';
import { HitRecords } from './hit-records.ts';
import type { Probe } from './probe.ts';
import type { ProbeSet } from './probe-set.ts';
import { ProbedProgram } from './probed-program.ts';
import type { ProberPeers } from './prober-peers.ts';
import { type FoundProcess, ProcessScan, readProcess } from './process-scan.ts';
import { whyUnreachable } from './reachability.ts';
import { Refusals } from './refusals.ts';

/** Pages of 4 KiB of a process's lane: 4 MiB. */
const LANE_PAGES = 1024;

/** A process as it was when it was born, or executed a program: some end before they are looked at. */
interface TracedProcess {
  readonly found: FoundProcess;
  /** The nearest process with a provider file that it descends from. */
  readonly ancestorPid: number | undefined;
  /** When it was born, or told of first. */
  readonly beganAtNs: bigint;
  /** The probes that were in it then. */
  readonly probes: ReadonlySet<Probe>;
}

export interface ProgramsOptions {
  /** The runtime folder, where the provider files are. */
  readonly folder: string;
  /** Whose processes are probed; 0: everybody's. */
  readonly uid: number;
  readonly probes: ProbeSet;
  readonly peers: ProberPeers;
}

export class ProbedPrograms {
  readonly scan: ProcessScan;
  readonly refusals: Refusals = new Refusals();
  readonly #probes: ProbeSet;
  readonly #peers: ProberPeers;
  readonly #providers: ProbeProviders;
  readonly #byPid = new Map<number, ProbedProgram>();
  readonly #tracedByPid = new Map<number, TracedProcess>();
  readonly #records = new HitRecords();

  constructor({ folder, uid, probes, peers }: ProgramsOptions) {
    this.#probes = probes;
    this.#peers = peers;
    this.scan = new ProcessScan(uid);
    this.#providers = new ProbeProviders(folder, LANE_PAGES);
  }

  get all(): readonly ProbedProgram[] {
    return [...this.#byPid.values()];
  }

  /** The program of a process that a probe is for. */
  of(pid: number): ProbedProgram | undefined {
    return this.#byPid.get(pid);
  }

  /** The name of a program's process, also when that has just ended: that of what it executed last, as far as is known. */
  commOf({ found }: ProbedProgram): string {
    return this.#tracedByPid.get(found.pid)?.found.comm ?? found.comm;
  }

  /** Looks for processes that are new, and at mappings as ProcessScan.look(). */
  look(mappings: 'all' | 'due' | 'none'): void {
    const before = new Set(this.scan.processes.map(({ pid }) => pid));
    this.scan.look(mappings);
    for (const { pid, parentPid } of this.scan.processes) if (!before.has(pid)) this.#inherit(pid, parentPid);
  }

  /** Ends those that were not there at the last look. What they were hit by has to be taken before. */
  endGone(): void {
    for (const program of this.#byPid.values()) {
      const { pid, startTicks } = program.found;
      if (this.scan.process(pid)?.startTicks !== startTicks) this.end(program);
    }
    this.refusals.expire((pid) => this.scan.process(pid) !== undefined);
  }

  /** Gives all processes the probes that are for them. */
  assignAll(): void {
    for (const found of this.scan.processes) this.#assign(found);
  }

  /**
   * Looks at one process now, and gives it the probes that are for it.
   *
   * @param hitProbe one that it was hit by
   * @returns undefined when none is, it cannot be probed, or there is no such process
   */
  assign(pid: number, hitProbe?: Probe): ProbedProgram | undefined {
    const found = this.scan.lookAt(pid) ?? this.#tracedByPid.get(pid)?.found;
    return found === undefined ? undefined : this.#assign(found, hitProbe);
  }

  /**
   * A traced process executes a program, or was born; it has not run yet.
   *
   * @param parentPid of one that was born
   * @param probes those that are in it
   */
  began(pid: number, parentPid: number | undefined, probes: ReadonlySet<Probe>): void {
    if (parentPid !== undefined) this.#inherit(pid, parentPid);
    const found = readProcess(pid);
    if (found === undefined) return;
    const ancestorPid =
      parentPid === undefined ? this.#tracedByPid.get(pid)?.ancestorPid : this.#ancestorBy(parentPid);
    const beganAtNs = this.#tracedByPid.get(pid)?.beganAtNs ?? process.hrtime.bigint();
    this.#tracedByPid.set(pid, { found, ancestorPid, beganAtNs, probes });
    // The scan may have seen it before.
    const program = this.#byPid.get(pid);
    for (const probe of probes) program?.awaitTracers(probe);
  }

  /** A traced process has ended. */
  ended(pid: number): void {
    this.#tracedByPid.delete(pid);
    if (!this.#byPid.has(pid)) this.#exclude(pid);
  }

  /** No probe is for a process any more, or it has ended. */
  end(program: ProbedProgram): void {
    const { pid } = program.found;
    this.#byPid.delete(pid);
    program.release();
    this.#providers.end(program.provider);
    this.#exclude(pid);
  }

  /** To be called now and then: removes files of processes that have ended. */
  turn(): void {
    this.#providers.turn();
  }

  /** Ends all, and removes their files. */
  close(): void {
    this.#providers.close();
  }

  /** The nearest process with a provider file that a child of a process descends from. */
  #ancestorBy(parentPid: number): number | undefined {
    return this.#byPid.has(parentPid) ? parentPid : this.#tracedByPid.get(parentPid)?.ancestorPid;
  }

  /** A child is probed for what its parent is probed for. */
  #inherit(pid: number, parentPid: number): void {
    for (const probe of this.#probes.all) if (probe.pids.has(parentPid)) probe.include(pid);
  }

  #assign(found: FoundProcess, hitProbe?: Probe): ProbedProgram | undefined {
    const { pid } = found;
    const isIn = (probe: Probe): boolean => probe === hitProbe && !this.#peers.isClient(pid);
    const probes = this.#probes.all.filter((probe) => isIn(probe) || this.#isFor(probe, pid));
    let program = this.#byPid.get(pid);
    if (probes.length === 0 || this.refusals.has(pid)) return program;
    if (program === undefined) {
      const provider = this.#makeProvider(found);
      if (provider === undefined) return undefined;
      program = new ProbedProgram(found, provider, this.#records);
      this.#byPid.set(pid, program);
    }
    const present = this.#tracedByPid.get(pid)?.probes;
    try {
      for (const probe of probes) {
        if (program.has(probe)) continue;
        program.add(probe);
        if (present?.has(probe) === true) program.awaitTracers(probe);
      }
    } catch (error) {
      this.refusals.add(pid, (error as Error).message);
    }
    return program;
  }

  /** Whether a probe is to be seen in a process: it was named, or has mapped the file. */
  #isFor(probe: Probe, pid: number): boolean {
    if (probe.pids.has(pid)) return true;
    if (probe.scope !== 'all') return false;
    return !this.#peers.isClient(pid) && this.scan.maps(pid, probe.definition.fileIdentity);
  }

  #makeProvider(found: FoundProcess): ProbeProvider | undefined {
    const { pid } = found;
    const traced = this.#tracedByPid.get(pid);
    const unreachable = traced === undefined ? whyUnreachable(pid) : undefined;
    if (unreachable !== undefined) {
      this.refusals.add(pid, unreachable.reason);
      return undefined;
    }
    try {
      // One that was born in this moment is found before its birth was told of.
      const ancestorPid = traced === undefined ? this.#ancestorBy(found.parentPid) : traced.ancestorPid;
      return this.#providers.create({
        ...found,
        ...(ancestorPid === undefined ? {} : { ancestorPid }),
        ...(traced === undefined ? {} : { beganAtNs: traced.beganAtNs }),
      });
    } catch (error) {
      this.refusals.add(pid, (error as Error).message);
      return undefined;
    }
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
