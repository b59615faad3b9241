/**
 * `events` of one instance: its own files, a directory for each system with events, and in that one for each event.
 *
 *     EventsDirectory --- SystemDirectory ··· EventDirectory ··· files
 *
 * Directories of events are made when they are looked up and held weakly, for there may be tens of thousands. Those that
 * chmod(1) or chown(1) changed something of are held while their event is there.
 */

import { HEADER_EVENT_TEXT, HEADER_PAGE_TEXT, PRINT_EVENT_ID, PRINT_FORMAT_TEXT } from '@usertrace/abi';
import type { TraceInstance } from '../instance.ts';
import type { DirectoryNode, TreeNode } from '../node.ts';
import type { TracedEvent } from '../traced-event.ts';
import { FILE_MODE, controlFile } from './control-file.ts';
import { FixedDirectory } from './directory.ts';
import type { EventCatalog } from './event-catalog.ts';
import { EventDirectory, enableRules } from './event-files.ts';
import { groupStateText } from './event-switch.ts';
import { systemFilterRules } from './filter-files.ts';

const DIRECTORY_MODE = 0o755;

export class EventsDirectory implements DirectoryNode {
  readonly kind = 'directory';
  readonly mode: number = DIRECTORY_MODE;
  readonly #catalog: EventCatalog;
  readonly #fixed: FixedDirectory;
  readonly #instance: TraceInstance;
  readonly #systems = new Map<string, SystemDirectory>();

  constructor(instance: TraceInstance, catalog: EventCatalog) {
    this.#catalog = catalog;
    this.#instance = instance;
    const text = (content: string) => controlFile(instance, { mode: FILE_MODE.read, read: () => content });
    this.#fixed = new FixedDirectory(DIRECTORY_MODE, {
      // The kernel always has events and so never refuses; without any there is nothing to do here.
      enable: controlFile(
        instance,
        enableRules(
          instance,
          () => [...catalog.all()],
          () => groupStateText(instance, catalog.all()),
        ),
      ),
      header_page: text(HEADER_PAGE_TEXT),
      header_event: text(HEADER_EVENT_TEXT),
      ftrace: new FixedDirectory(DIRECTORY_MODE, {
        print: new FixedDirectory(DIRECTORY_MODE, {
          format: text(PRINT_FORMAT_TEXT),
          id: text(`${PRINT_EVENT_ID}\n`),
        }),
      }),
    });
  }

  child(name: string): TreeNode | undefined {
    if (this.#catalog.inSystem(name) === undefined) return this.#fixed.child(name);
    let system = this.#systems.get(name);
    if (system === undefined) {
      // Those of groups of probes that are gone.
      for (const other of this.#systems.keys())
        if (this.#catalog.inSystem(other) === undefined) this.#systems.delete(other);
      system = new SystemDirectory(this.#instance, this.#catalog, name);
      this.#systems.set(name, system);
    }
    return system;
  }

  *entries(): Iterable<{ readonly name: string; readonly kind: TreeNode['kind'] }> {
    yield* this.#fixed.entries();
    for (const name of this.#catalog.systems()) yield { name, kind: 'directory' };
  }
}

/** `events/SYSTEM`. */
class SystemDirectory implements DirectoryNode {
  readonly kind = 'directory';
  readonly mode: number = DIRECTORY_MODE;
  readonly #instance: TraceInstance;
  readonly #catalog: EventCatalog;
  readonly #name: string;
  readonly #fixed: FixedDirectory;
  readonly #directories = new WeakMap<TracedEvent, WeakRef<EventDirectory>>();
  readonly #keptDirectories = new WeakMap<TracedEvent, EventDirectory>();

  constructor(instance: TraceInstance, catalog: EventCatalog, name: string) {
    this.#instance = instance;
    this.#catalog = catalog;
    this.#name = name;
    this.#fixed = new FixedDirectory(DIRECTORY_MODE, {
      enable: controlFile(
        instance,
        enableRules(
          instance,
          () => this.#events(),
          () => groupStateText(instance, this.#events() ?? []),
        ),
      ),
      filter: controlFile(
        instance,
        systemFilterRules(instance, () => this.#events()),
      ),
    });
  }

  child(name: string): TreeNode | undefined {
    // An event called "enable" hides the file, as in the kernel.
    const event = this.#catalog.inSystem(this.#name)?.get(name);
    return event === undefined ? this.#fixed.child(name) : this.#directoryOf(event);
  }

  *entries(): Iterable<{ readonly name: string; readonly kind: TreeNode['kind'] }> {
    yield* this.#fixed.entries();
    for (const name of this.#catalog.inSystem(this.#name)?.keys() ?? []) yield { name, kind: 'directory' };
  }

  #events(): TracedEvent[] | undefined {
    const events = this.#catalog.inSystem(this.#name);
    return events === undefined ? undefined : [...events.values()];
  }

  #directoryOf(event: TracedEvent): EventDirectory {
    const known = this.#directories.get(event)?.deref();
    if (known !== undefined) return known;
    const keep = (): void => void this.#keptDirectories.set(event, directory);
    const directory = new EventDirectory(this.#instance, this.#catalog, event, keep);
    this.#directories.set(event, new WeakRef(directory));
    return directory;
  }
}
