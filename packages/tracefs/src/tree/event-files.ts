/**
 * The files in an event's directory. An instance's EventsDirectory makes them when they are looked up; each holds
 * the directory it is in, which thus is the same object as long as somebody holds one of its files.
 */

import { type ErrnoName, unreachable } from '@usertrace/base';
import type { TraceInstance } from '../instance.ts';
import type { DirectoryNode, FileNode, TreeNode } from '../node.ts';
import { formatTextOf, type TracedEvent } from '../traced-event.ts';
import { type ControlFileRules, FILE_MODE, controlFile } from './control-file.ts';
import type { EventCatalog } from './event-catalog.ts';
import { switchEvents } from './event-switch.ts';
import { filterRules } from './filter-files.ts';
import { triggerRules } from './trigger-file.ts';
import { parseUnsigned } from './written-text.ts';

const EVENT_FILE_NAMES = ['enable', 'filter', 'trigger', 'format', 'id'] as const;
type EventFileName = (typeof EVENT_FILE_NAMES)[number];

/** `events/SYSTEM/EVENT`. */
export class EventDirectory implements DirectoryNode {
  readonly kind = 'directory';
  readonly mode = 0o755;
  readonly keep: () => void;
  readonly #instance: TraceInstance;
  readonly #catalog: EventCatalog;
  readonly #event: TracedEvent;
  readonly #files = new Map<EventFileName, FileNode>();

  /** @param keep see TreeNode */
  constructor(instance: TraceInstance, catalog: EventCatalog, event: TracedEvent, keep: () => void) {
    this.keep = keep;
    this.#instance = instance;
    this.#catalog = catalog;
    this.#event = event;
  }

  child(name: string): TreeNode | undefined {
    const fileName = EVENT_FILE_NAMES.find((candidate) => candidate === name);
    if (fileName === undefined) return undefined;
    let file = this.#files.get(fileName);
    if (file === undefined) {
      const opening = (): ErrnoName | undefined => (this.#catalog.has(this.#event) ? undefined : 'ENODEV');
      const node = controlFile(this.#instance, { ...this.#rules(fileName), opening });
      file = { ...node, keep: this.keep };
      this.#files.set(fileName, file);
    }
    return file;
  }

  *entries(): Iterable<{ readonly name: string; readonly kind: TreeNode['kind'] }> {
    for (const name of EVENT_FILE_NAMES) yield { name, kind: 'file' };
  }

  #rules(name: EventFileName): ControlFileRules {
    const { id } = this.#event;
    switch (name) {
      case 'enable':
        return enableRules(
          this.#instance,
          () => (this.#catalog.has(this.#event) ? [this.#event] : undefined),
          () => stateText(this.#instance, this.#event),
        );
      case 'filter':
        return filterRules(this.#instance, this.#event, () => this.#catalog.has(this.#event));
      case 'trigger':
        return triggerRules(this.#instance, this.#catalog, this.#event);
      case 'format':
        return { mode: FILE_MODE.read, read: () => formatTextOf(this.#event) };
      case 'id':
        return { mode: FILE_MODE.read, read: () => `${id}\n` };
      default:
        return unreachable(name);
    }
  }
}

/**
 * An `enable` file.
 *
 * @param events the events it switches; undefined when they are gone, which answers ENODEV
 * @param read what it reads
 */
export function enableRules(
  instance: TraceInstance,
  events: () => readonly TracedEvent[] | undefined,
  read: () => string,
): ControlFileRules {
  return {
    mode: FILE_MODE.readWrite,
    read,
    write: (written, _caller, reply) => {
      const value = parseUnsigned(written);
      if (typeof value === 'string') return reply.fail(value);
      if (value > 1) return reply.fail('EINVAL');
      const switched = events();
      if (switched === undefined) return reply.fail('ENODEV');
      instance.expand();
      switchEvents(instance, switched, value === 1, () => reply.done(written.length));
    },
  };
}

/** What an event's `enable` file says: a star tells of triggers that have it attached. */
function stateText(instance: TraceInstance, event: TracedEvent): string {
  return `${instance.events.enabled.has(event) ? 1 : 0}${instance.events.isHeld(event) ? '*' : ''}\n`;
}
