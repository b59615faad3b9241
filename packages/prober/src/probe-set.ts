/**
 * `ProbeSet`: the definitions in force and the probe of each. It says who may add and remove what; the kernel's rules are the
 * DefinitionSet's.
 */
import { ErrnoError, eventMatcher } from '@usertrace/base';
import { DefinitionRefusal, DefinitionSet, type ProbeDefinition } from '@usertrace/uprobes';
import { Probe, type ProbeTerms } from './probe.ts';
import type { ProberPeer } from './prober-peer.ts';
import type { SymbolFiles } from './symbol-files.ts';

/** Who hears of changes. */
export interface ProbeSetListener {
  /** Whether somebody listens to a probe's event: then it stays. */
  isBusy(probe: Probe): boolean;
  added(probe: Probe): void;
  removed(probe: Probe): void;
}

export class ProbeSet {
  readonly #files: SymbolFiles;
  readonly #listener: ProbeSetListener;
  readonly #definitions: DefinitionSet;
  readonly #byDefinition = new Map<ProbeDefinition, Probe>();
  #terms: ProbeTerms = { scope: { kind: 'all' }, owner: undefined };
  /** A client is gone, and its probes with it, listened to or not. */
  #isForced = false;
  #lastAdded: Probe | undefined;

  constructor(files: SymbolFiles, listener: ProbeSetListener) {
    this.#files = files;
    this.#listener = listener;
    this.#definitions = new DefinitionSet({
      look: (path) => files.look(path),
      functionOffset: (path, name) => files.functionOffset(path, name),
      isForeignEvent: () => false,
      isBusy: (definition) => !this.#isForced && listener.isBusy(this.#probeOf(definition)),
      added: (definition) => this.#add(definition),
      removed: (definition) => this.#remove(definition),
    });
  }

  /** In the order in which they were made. */
  get all(): readonly Probe[] {
    return [...this.#byDefinition.values()];
  }

  /**
   * Adds a probe.
   *
   * @param definition a line that puts one; function names are taken
   * @param folder where relative paths begin
   * @throws {DefinitionRefusal} as the kernel refuses it
   * @throws {ErrnoError} EINVAL for a return that is not that of a function
   */
  add(definition: string, folder: string, terms: ProbeTerms): Probe {
    if (!/^[pr]/.test(definition)) throw new DefinitionRefusal('EINVAL');
    this.#execute(definition, folder, terms);
    if (this.#lastAdded === undefined) throw new DefinitionRefusal('EINVAL');
    return this.#lastAdded;
  }

  /**
   * Does what a line of uprobe_events says; what it adds is for all processes and belongs to whom it is told.
   *
   * @throws {DefinitionRefusal} as the kernel refuses it
   */
  execute(line: string, folder: string, owner: ProberPeer | undefined): void {
    this.#execute(line, folder, { scope: { kind: 'all' }, owner });
  }

  /** @throws {DefinitionRefusal} EBUSY when somebody listens to one of them */
  clear(): void {
    this.#definitions.clear();
  }

  /**
   * Removes the probes whose names a pattern means.
   *
   * @param mayRemove whose
   * @returns the names of their events
   * @throws {PatternError} for no pattern
   * @throws {DefinitionRefusal} ENOENT when there is none, EBUSY when somebody listens to one; then all stay
   */
  removeMatching(pattern: string, mayRemove: (probe: Probe) => boolean): string[] {
    const matches = eventMatcher(pattern);
    const meant = this.all.filter(
      (probe) => matches(probe.definition.group, probe.definition.event) && mayRemove(probe),
    );
    if (meant.length === 0) throw new DefinitionRefusal('ENOENT');
    if (meant.some((probe) => this.#listener.isBusy(probe))) throw new DefinitionRefusal('EBUSY');
    this.#drop(meant);
    return [...new Set(meant.map(({ eventName }) => eventName))];
  }

  /** Removes probes, whoever listens to them. */
  drop(probes: readonly Probe[]): void {
    this.#isForced = true;
    try {
      this.#drop(probes);
    } finally {
      this.#isForced = false;
    }
  }

  #drop(probes: readonly Probe[]): void {
    // The whole line behind the name: others that feed the same event stay.
    for (const probe of probes)
      if (this.#byDefinition.has(probe.definition)) this.#definitions.execute(`-${probe.line.slice(1)}`);
  }

  #execute(line: string, folder: string, terms: ProbeTerms): void {
    this.#files.folder = folder;
    this.#terms = terms;
    this.#lastAdded = undefined;
    this.#definitions.execute(line);
    const added: Probe | undefined = this.#lastAdded;
    if (added !== undefined) this.#mustHaveReturn(added);
  }

  /** Within a function, nobody knows where its return address is. */
  #mustHaveReturn(probe: Probe): void {
    const { kind, offset, path } = probe.definition;
    const symbol = kind === 'return' ? this.#files.symbolAt(probe.filePath, offset) : undefined;
    if (symbol === undefined || symbol.offset === 0) return;
    this.drop([probe]);
    throw new ErrnoError(
      'EINVAL',
      `Cannot probe the return at ${path}:${symbol.name}+${symbol.offset}: only at a function's beginning, as ${path}:${symbol.name}`,
    );
  }

  #add(definition: ProbeDefinition): void {
    const probe = new Probe(definition, this.#files.absolute(definition.path), this.#terms);
    this.#byDefinition.set(definition, probe);
    this.#lastAdded = probe;
    this.#listener.added(probe);
  }

  #remove(definition: ProbeDefinition): void {
    const probe = this.#probeOf(definition);
    this.#byDefinition.delete(definition);
    this.#listener.removed(probe);
  }

  #probeOf(definition: ProbeDefinition): Probe {
    return this.#byDefinition.get(definition) as Probe;
  }
}
