/** A Probe: one definition that is in force, whom it is for, and to whom it belongs. */
import { EventFilter } from '@usertrace/abi';
import { definitionLine, filterFields, type ProbeDefinition } from '@usertrace/uprobes';
import { cpus } from 'node:os';
import type { ProberPeer } from './prober-peer.ts';
import type { ProbeScope } from './protocol.ts';

/** To whom a probe belongs that is being added, and whom it is for. */
export interface ProbeTerms {
  readonly scope: ProbeScope;
  readonly owner: ProberPeer | undefined;
}

export class Probe {
  readonly definition: ProbeDefinition;
  /** As uprobe_events lists it. */
  readonly line: string;
  /** Its file, absolute; the definition has it as it was typed. */
  readonly filePath: string;
  readonly scope: ProbeScope['kind'];
  /** The processes that the scope names, with the children that they have had since. */
  readonly #pids: Set<number>;
  /** For whose connection it was added; undefined when it stays. */
  readonly owner: ProberPeer | undefined;
  /** Hits that became events, and those that did not, of processes that have ended too. */
  hits = 0;
  misses = 0;
  #traced: ProbeDefinition;

  constructor(definition: ProbeDefinition, filePath: string, { scope, owner }: ProbeTerms) {
    this.definition = definition;
    this.#traced = { ...definition, path: filePath };
    this.filePath = filePath;
    this.line = definitionLine(definition);
    this.scope = scope.kind;
    this.#pids = new Set(scope.kind === 'processes' ? scope.pids : []);
    this.owner = owner;
  }

  /** The definition as a tracer is given it: with the file's absolute path, and with the filter. */
  get traced(): ProbeDefinition {
    return this.#traced;
  }

  /** Which hits become events; all of them if undefined. */
  get filter(): EventFilter | undefined {
    return this.#traced.filter;
  }

  /**
   * Wants only some hits. To be called before anybody traces for it.
   *
   * @param text as an event's `filter` file takes it, one character a byte
   * @throws {FilterRefusal} as the kernel refuses it
   */
  filterBy(text: string): void {
    // Hits do not tell their CPU.
    const fields = filterFields(this.definition).filter(({ kind }) => kind !== 'cpu');
    const filter = EventFilter.parse(text, fields, cpus().length);
    if (filter === undefined) return;
    this.#traced = { ...this.#traced, filter };
  }

  /** The event that it feeds. */
  get eventName(): string {
    return `${this.definition.group}:${this.definition.event}`;
  }

  /** The processes that it is for whether they map the file or not. */
  get pids(): ReadonlySet<number> {
    return this.#pids;
  }

  /** A process is probed from now on as well: it was launched, or is a child of one that is probed. */
  include(pid: number): void {
    this.#pids.add(pid);
  }

  /** A process has ended: its number may be given to another. */
  exclude(pid: number): void {
    this.#pids.delete(pid);
  }
}
