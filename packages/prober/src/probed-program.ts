/**
 * `ProbedProgram`: a process that probes are for, and its provider file, in which tools see the probes' events. Several probes may
 * feed one event. While a session wants an event, its probes are to be in the program.
 *
 * A process that was born or launched while it was traced has its probes from its first instruction on, and a tracer finds its file
 * some time later. What it does until then is written for the tracers to come: they read the lane from its beginning.
 */
import { type Hit, HitQueue, probeFormatText } from '@usertrace/uprobes';
import type { ProbeProvider } from '@usertrace/recording';
import type { HitRecords } from './hit-records.ts';
import type { Probe } from './probe.ts';
import type { FoundProcess } from './process-scan.ts';
import type { TracedTree } from './traced-tree.ts';

/** How long tracers may take to find a new process, in milliseconds. */
const UNFOUND_MS = 10_000;

/** A probe in one process. */
export interface ProbeCounts {
  hits: number;
  misses: number;
  /** Why it cannot be there. */
  refusal: string | undefined;
}

/** A hit on its way into the provider file. */
interface NamedHit {
  readonly index: number;
  readonly probe: Probe;
  readonly hit: Hit;
  /** The thread's name, one character a byte; empty when nobody knows it. */
  readonly comm: string;
}

interface ProgramEvent {
  /** Its number in the provider file. */
  readonly index: number;
  readonly probes: Set<Probe>;
  /** Until when it is written for tracers that have not found the process yet, of performance.now(); until one has. */
  unfoundUntilMs: number | undefined;
}

export class ProbedProgram {
  readonly found: FoundProcess;
  readonly provider: ProbeProvider;
  /** Those who trace it, while they do. */
  tree: TracedTree | undefined;
  readonly #eventsByName = new Map<string, ProgramEvent>();
  readonly #countsByProbe = new Map<Probe, ProbeCounts>();
  /** Hits of several lanes, which are written in the order of their times. */
  readonly #hits = new HitQueue<NamedHit>((hit) => this.#write(hit));
  readonly #records: HitRecords;

  /**
   * @param provider made for the process; whoever ends this ends it as well
   * @param records makes the records of hits
   */
  constructor(found: FoundProcess, provider: ProbeProvider, records: HitRecords) {
    this.#records = records;
    this.found = found;
    this.provider = provider;
  }

  get probes(): readonly Probe[] {
    return [...this.#countsByProbe.keys()];
  }

  has(probe: Probe): boolean {
    return this.#countsByProbe.has(probe);
  }

  /** @returns undefined for a probe that is not for this process */
  counts(probe: Probe): ProbeCounts | undefined {
    return this.#countsByProbe.get(probe);
  }

  /**
   * Adds a probe, and its event unless that is there.
   *
   * @throws {Error} when the provider file has no room
   */
  add(probe: Probe): void {
    const { definition, eventName } = probe;
    let event = this.#eventsByName.get(eventName);
    if (event === undefined) {
      const formatText = (id: number): string => probeFormatText(definition, id);
      const index = this.provider.add({ system: definition.group, formatText });
      event = { index, probes: new Set(), unfoundUntilMs: undefined };
      this.#eventsByName.set(eventName, event);
    }
    event.probes.add(probe);
    this.#countsByProbe.set(probe, { hits: 0, misses: 0, refusal: undefined });
  }

  /** A probe was in the program from its beginning on: its hits are for the tracers that will find its event. */
  awaitTracers(probe: Probe): void {
    const event = this.#eventsByName.get(probe.eventName);
    if (event !== undefined) event.unfoundUntilMs = performance.now() + UNFOUND_MS;
  }

  /** Takes a probe away, with its event when no other feeds that. */
  remove(probe: Probe): void {
    const event = this.#eventsByName.get(probe.eventName);
    this.#countsByProbe.delete(probe);
    if (event === undefined || !event.probes.delete(probe) || event.probes.size > 0) return;
    this.#eventsByName.delete(probe.eventName);
    this.provider.withdraw(event.index);
  }

  /** Whether somebody listens to a probe's event. */
  isOn(probe: Probe): boolean {
    const event = this.#eventsByName.get(probe.eventName);
    return event !== undefined && event.probes.has(probe) && this.provider.isOn(event.index);
  }

  /** Whether a probe's hits are written: somebody listens, or may do so when the process is found. */
  isWanted(probe: Probe): boolean {
    const event = this.#eventsByName.get(probe.eventName);
    if (event === undefined || !event.probes.has(probe)) return false;
    const isOn = this.provider.isOn(event.index);
    if (isOn || (event.unfoundUntilMs ?? 0) < performance.now()) event.unfoundUntilMs = undefined;
    return isOn || event.unfoundUntilMs !== undefined;
  }

  /**
   * Takes a hit, unless nobody listens. It is written by `release()`.
   *
   * @param comm the thread's name, one character a byte
   */
  take(probe: Probe, hit: Hit, comm: string): void {
    const index = this.#eventsByName.get(probe.eventName)?.index;
    const counts = this.#countsByProbe.get(probe);
    if (index === undefined || counts === undefined || !this.isWanted(probe)) return;
    counts.hits++;
    probe.hits++;
    this.#hits.push({ index, probe, hit, comm }, hit.timeNs);
  }

  /** Hits found no room: whoever listens finds events missing where the following one is. */
  miss(probe: Probe, count: number): void {
    const counts = this.#countsByProbe.get(probe);
    if (counts !== undefined) counts.misses += count;
    if (this.isWanted(probe)) this.provider.lose(count);
  }

  /**
   * Writes hits that were taken.
   *
   * @param untilNs those up to this time, CLOCK_MONOTONIC; all without it
   */
  release(untilNs?: bigint): void {
    this.#hits.release(untilNs);
  }

  #write({ index, probe, hit, comm }: NamedHit): void {
    const { entry, length } = this.#records.encode(hit);
    const record = new DataView(entry.buffer, entry.byteOffset, length);
    // No filter names the CPU (Probe.filterBy).
    if (length > 0 && probe.filter?.matches({ record, tid: hit.tid, comm, cpu: 0 }) === false) return;
    if (comm !== '') this.provider.setThreadName(hit.tid, comm);
    if (length > 0) this.provider.write(index, hit.tid, hit.timeNs, entry, length);
    else this.provider.lose(1);
  }
}
