/** An event of the tree, whoever makes it: programs that register it, or probes. */
import { type FilterField, formatFileText, printEventFields, userEventFilterFields } from '@usertrace/abi';
import type { UserEvent } from '@usertrace/user-events';
import { ProbeEvent } from './probe-event.ts';

export type TracedEvent = UserEvent | ProbeEvent;

/** What its `format` file says. */
export function formatTextOf(event: TracedEvent): string {
  return event instanceof ProbeEvent
    ? event.identity.formatText(event.id)
    : formatFileText(event.name, event.id, event.fields);
}

/** What a filter of it may name. */
export function filterFieldsOf(event: TracedEvent): readonly FilterField[] {
  return event instanceof ProbeEvent ? event.identity.filterFields : userEventFilterFields(event.fields);
}

/** What `trace` says of an entry of it, with the line's end. */
export function entryText(event: TracedEvent, entry: Uint8Array): string {
  return event instanceof ProbeEvent
    ? `${event.name}: ${event.identity.print(entry)}\n`
    : printEventFields(event.name, event.fields, entry);
}
