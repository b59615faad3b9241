/**
 * The files in an event's directory. An instance's EventsDirectory makes them when they are looked up; each holds
 * the directory it is in, which thus is the same object as long as somebody holds one of its files.
 */

import { FilterRefusal } from '@usertrace/abi';
import { type ErrnoName, unreachable } from '@usertrace/base';
import type { TraceInstance } from '../instance.ts';
import type { DirectoryNode, FileNode, TreeNode } from '../node.ts';
import { formatTextOf, type TracedEvent } from '../traced-event.ts';
import { type ControlFileRules, FILE_MODE, controlFile, taking } from './control-file.ts';
import type { EventCatalog } from './event-catalog.ts';
import { switchEvents } from './event-switch.ts';
import { parseUnsigned, stripSpaces, untilZero } from './written-text.ts';

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
        return filterRules(this.#instance, this.#event, () => this.#catalog.has(this.#event));
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

/** Where errors of filters come from, in `error_log`. */
const FILTER_LOCATION = 'event filter parse error';

/**
 * The `filter` file of an event.
 *
 * @param isThere whether the event still exists
 */
function filterRules(instance: TraceInstance, event: TracedEvent, isThere: () => boolean): ControlFileRules {
  return {
    mode: FILE_MODE.readWrite,
    read: () => instance.filters.text(event),
    write: taking((written) => {
      if (written.length >= RULE_BYTES) return 'EINVAL';
      if (!isThere()) return 'ENODEV';
      try {
        instance.filters.set(event, untilZero(written));
        return undefined;
      } catch (error) {
        if (!(error instanceof FilterRefusal)) throw error;
        const { filter, logged, code } = error;
        instance.errors.add(FILTER_LOCATION, logged.text, filter, logged.position);
        return code;
      }
    }),
  };
}

/**
 * The `filter` file of a system. It takes every text, as the kernel's does; which events cannot have the filter is told in
 * their own files and in `error_log`.
 *
 * @param events those of the system; undefined when they are gone
 */
export function systemFilterRules(
  instance: TraceInstance,
  events: () => readonly TracedEvent[] | undefined,
): ControlFileRules {
  return {
    mode: FILE_MODE.readWrite,
    read: () => SYSTEM_FILTER_TEXT,
    write: taking((written) => {
      if (written.length >= RULE_BYTES) return 'EINVAL';
      const filtered = events();
      if (filtered === undefined) return 'ENODEV';
      for (const { text, filter, position } of instance.filters.setAll(filtered, untilZero(written)))
        instance.errors.add(FILTER_LOCATION, text, filter, position);
      return undefined;
    }),
  };
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
