/**
 * The files in an event's directory. An instance's EventsDirectory makes them when they are looked up; each holds
 * the directory it is in, which thus is the same object as long as somebody holds one of its files.
 */

import { type ErrnoName, unreachable } from '@usertrace/base';
import type { TraceInstance } from '../instance.ts';
import type { DirectoryNode, FileNode, TreeNode } from '../node.ts';
import { ProbeEvent } from '../probe-event.ts';
import { formatTextOf, type TracedEvent } from '../traced-event.ts';
import { type ControlFileRules, FILE_MODE, controlFile, taking } from './control-file.ts';
import type { EventCatalog } from './event-catalog.ts';
import { switchEvents } from './event-switch.ts';
import { parseUnsigned, stripSpaces } from './written-text.ts';

/** The kernel takes filters and triggers shorter than a page, and refuses others without a word in `error_log`. */
const RULE_BYTES = 4096;
/** What removes a trigger that every event could have; the kernel takes it where there is none. */
const NO_TRIGGER = /^!(?:traceon|traceoff|stacktrace)$/;

/** What the kernel prints for an event without triggers, and without any it could have. */
const TRIGGER_TEXT = '# Available triggers:\n#\n';
/** What the kernel prints for a system's filter, whatever was set. */
const SYSTEM_FILTER_TEXT =
  '### global filter ###\n' +
  '# Use this to set filters for multiple events.\n' +
  '# Only events with the given fields will be affected.\n' +
  '# If no events are modified, an error message will be displayed here\n';

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
          () => (this.#instance.enabledEvents.has(this.#event) ? '1\n' : '0\n'),
        );
      case 'filter':
        return this.#event instanceof ProbeEvent
          ? probeFilterRules(this.#instance, this.#event)
          : filterRules(this.#instance, () => 'none\n');
      case 'trigger':
        return {
          mode: FILE_MODE.readWrite,
          read: () => TRIGGER_TEXT,
          write: taking((written) =>
            refuseUnless(NO_TRIGGER, this.#instance, 'event trigger', 'triggers', written),
          ),
        };
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

/** A `filter` file of an event; see `systemFilterRules` for a system's. `0` removes the filter: there is none. */
function filterRules(instance: TraceInstance, read: () => string, removal: RegExp = /^0$/): ControlFileRules {
  return {
    mode: FILE_MODE.readWrite,
    read,
    write: taking((written) =>
      refuseUnless(removal, instance, 'event filter parse error', 'filters', written),
    ),
  };
}

/** The `filter` file of a probe's event. */
function probeFilterRules(instance: TraceInstance, event: ProbeEvent): ControlFileRules {
  return {
    mode: FILE_MODE.readWrite,
    read: () => event.filterText(instance),
    write: taking((written) => {
      if (written.length >= RULE_BYTES) return 'EINVAL';
      const text = stripSpaces(written);
      const refusal = event.setFilter(instance, text);
      if (refusal?.error !== undefined)
        instance.errors.add('event filter parse error', refusal.error.text, text, refusal.error.position);
      return refusal?.code;
    }),
  };
}

/** The `filter` file of a system. Unlike an event's it takes a blank text, as a kernel answers. */
export function systemFilterRules(instance: TraceInstance): ControlFileRules {
  return filterRules(instance, () => SYSTEM_FILTER_TEXT, /^0?$/);
}

/** Takes what removes a filter or a trigger, for there is none, and refuses to set one. A blank text is nothing. */
function refuseUnless(
  removal: RegExp,
  instance: TraceInstance,
  location: string,
  what: string,
  written: string,
): ErrnoName | undefined {
  if (written.length >= RULE_BYTES) return 'EINVAL';
  const command = stripSpaces(written);
  if (removal.test(command)) return undefined;
  if (command === '') return 'EINVAL';
  instance.errors.add(location, `usertrace does not support ${what} yet`, command, 0);
  return 'EINVAL';
}
