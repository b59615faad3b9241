/**
 * The whole tree: what is mounted at /sys/kernel/tracing. The server makes one TraceTree and serves its `root`; it
 * holds the instances, the catalog of events, and all directories, and hears from the domain about events.
 *
 *     TraceTree --- root --- files of the top instance, user_events_*, dynamic_events, ...
 *         |          '--- instances/NAME --- the same files for each instance
 *         |--- InstanceSet --- TraceInstance --- RingBuffer
 *         |--- EventCatalog <--added, removed-- UserEvents, ProbeEvents
 *         '--- TaskRecorder
 */

import type { UserEvents } from '@usertrace/user-events';
import { InstanceSet } from '../instance-set.ts';
import { TaskRecorder } from '../instance-tasks.ts';
import type { TraceInstance } from '../instance.ts';
import type { DirectoryNode, FileNode, TreeNode } from '../node.ts';
import type { ProbesPort } from '../probe-event.ts';
import { ProbeEvents } from '../probe-events.ts';
import type { TracedEvent } from '../traced-event.ts';
import { FILE_MODE, controlFile, takingNumber } from './control-file.ts';
import { FixedDirectory } from './directory.ts';
import {
  allDynamicEventsFile,
  dynamicEventsFile,
  userEventsStatusFile,
  userEventsUnsettledFile,
} from './dynamic-events.ts';
import { EventCatalog } from './event-catalog.ts';
import { DIRECTORY_MODE, instanceFiles } from './instance-directory.ts';
import { InstancesDirectory } from './instances-directory.ts';
import type { TreePorts } from './ports.ts';
import { uprobeEventsFile, uprobeProfileFile } from './probe-files.ts';
import { README_TEXT } from './readme-text.ts';
import { availableEventsFile } from './set-event.ts';

/** The permission bits of the root: only root looks into the kernel's. */
const ROOT_MODE = 0o700;

/** What a tree is made of. */
export interface TraceTreeParts {
  /** The events; the tree becomes its observer. */
  readonly domain: UserEvents;
  readonly ports: TreePorts;
  /** The node of `user_events_data`. */
  readonly userEventsData: FileNode;
  /** Who has the probes; without it the tree has none. */
  readonly probes?: ProbesPort;
}

export class TraceTree {
  /** The root directory. */
  readonly root: DirectoryNode;
  readonly #instances: InstanceSet;
  readonly #catalog = new EventCatalog();
  readonly #tasks: TaskRecorder;
  #isWantedWhenNew: (system: string, name: string) => boolean = () => false;

  constructor({ domain, ports, userEventsData, probes }: TraceTreeParts) {
    this.#tasks = new TaskRecorder(ports);
    this.#instances = new InstanceSet(ports, this.#tasks);
    for (const event of domain.events) this.#catalog.add(event);
    domain.observers = {
      added: (event) => this.#eventAdded(event),
      removed: (event) => {
        this.#catalog.remove(event);
        for (const instance of this.#instances.all()) instance.eventRemoved(event);
      },
      clearRequested: () => {
        for (const instance of this.#instances.all()) instance.clearIfNeeded();
      },
    };
    const { top } = this.#instances;
    this.root = new FixedDirectory(ROOT_MODE, {
      README: textFile(top, () => README_TEXT),
      ...this.#filesOf(top),
      available_events: availableEventsFile(top, this.#catalog),
      dynamic_events: dynamicEventsFile(top, domain, ports),
      instances: new InstancesDirectory(
        this.#instances,
        this.#catalog,
        (instance) => new FixedDirectory(DIRECTORY_MODE, this.#filesOf(instance)),
      ),
      // The formats of trace_printk, which nothing here calls.
      printk_formats: textFile(top, () => ''),
      saved_cmdlines: textFile(top, () => this.#tasks.commandsText()),
      saved_cmdlines_size: controlFile(top, {
        mode: FILE_MODE.readWrite,
        read: () => `${this.#tasks.commandCount}\n`,
        write: takingNumber((count) => this.#tasks.resize(count)),
      }),
      saved_tgids: textFile(top, () => this.#tasks.processesText()),
      user_events_data: userEventsData,
      user_events_status: userEventsStatusFile(top, domain, ports),
      user_events_unsettled: userEventsUnsettledFile(top, domain),
      ...(probes === undefined ? {} : this.#probeFiles(top, probes, domain, ports)),
    });
  }

  /** The top instance, whose files are in the root directory. */
  get top(): TraceInstance {
    return this.#instances.top;
  }

  /**
   * Switches events on in the top instance when they are made from now on.
   *
   * @param isWanted says which, by system and name
   */
  enableNew(isWanted: (system: string, name: string) => boolean): void {
    this.#isWantedWhenNew = isWanted;
  }

  #probeFiles(
    top: TraceInstance,
    probes: ProbesPort,
    domain: UserEvents,
    ports: TreePorts,
  ): Record<string, TreeNode> {
    const events = new ProbeEvents(probes, {
      added: (event) => this.#eventAdded(event),
      removed: (event) => {
        for (const instance of this.#instances.all()) {
          instance.events.setEnabled(event, false);
          instance.eventRemoved(event);
          instance.clearIfNeeded();
        }
        this.#catalog.remove(event);
      },
      has: (system, name) => this.#catalog.inSystem(system)?.has(name) ?? false,
      named: (tid, comm) => this.#tasks.keepCommand(tid, comm),
    });
    const isBusy = (): boolean => events.isAnyEnabled;
    return {
      dynamic_events: allDynamicEventsFile(top, domain, ports, { probes, isBusy }),
      uprobe_events: uprobeEventsFile(top, probes, isBusy),
      uprobe_profile: uprobeProfileFile(top, probes),
    };
  }

  #eventAdded(event: TracedEvent): void {
    this.#catalog.add(event);
    if (this.#isWantedWhenNew(event.system, event.name)) this.top.events.setEnabled(event, true);
  }

  #filesOf(instance: TraceInstance): Record<string, TreeNode> {
    return instanceFiles(instance, this.#catalog, this.#tasks);
  }
}

function textFile(instance: TraceInstance, text: () => string): FileNode {
  return controlFile(instance, { mode: FILE_MODE.read, read: text });
}
