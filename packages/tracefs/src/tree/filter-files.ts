/** The `filter` files of events and of systems (Documentation/trace/events.rst). */

import { FilterRefusal } from '@usertrace/abi';
import type { ErrnoName } from '@usertrace/base';
import type { TraceInstance } from '../instance.ts';
import type { TracedEvent } from '../traced-event.ts';
import { type ControlFileRules, FILE_MODE, taking } from './control-file.ts';
import { untilZero } from './written-text.ts';

/** The kernel takes filters and triggers shorter than a page, and refuses others without a word in `error_log`. */
export const RULE_BYTES = 4096;

/** What the kernel prints for a system's filter, whatever was set. */
const SYSTEM_FILTER_TEXT =
  '### global filter ###\n' +
  '# Use this to set filters for multiple events.\n' +
  '# Only events with the given fields will be affected.\n' +
  '# If no events are modified, an error message will be displayed here\n';
/** Where errors of filters come from, in `error_log`. */
const FILTER_LOCATION = 'event filter parse error';

/**
 * The `filter` file of an event.
 *
 * @param isThere whether the event still exists
 */
export function filterRules(
  instance: TraceInstance,
  event: TracedEvent,
  isThere: () => boolean,
): ControlFileRules {
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
        return logFilterRefusal(instance, error);
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

/**
 * Has `error_log` tell why a filter was refused. Any other error is thrown again.
 *
 * @returns what the write answers
 */
export function logFilterRefusal(instance: TraceInstance, error: unknown): ErrnoName {
  if (!(error instanceof FilterRefusal)) throw error;
  const { filter, logged, code } = error;
  instance.errors.add(FILTER_LOCATION, logged.text, filter, logged.position);
  return code;
}
