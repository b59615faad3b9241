/** The fields that a filter may name: those of the event, and those that every event has. */

import { type EventField, locationOf } from '../user-events/fields.ts';

/** A field of an event's records, as a filter sees it. */
export type FilterField =
  | {
      readonly kind: 'number';
      readonly name: string;
      /** Where it is in the record. */
      readonly offset: number;
      /** Bytes; others than 1, 2, 4 and 8 are an array or a struct, which no comparison is true of. */
      readonly size: number;
      readonly isSigned: boolean;
    }
  | {
      readonly kind: 'text';
      readonly name: string;
      readonly offset: number;
      readonly size: number;
      /** Whether the text is in the field, or a location is, which counts from the record's start or from the field's end. */
      readonly place: 'inline' | 'absolute' | 'relative';
    }
  /** A set of CPUs, of which a location tells as of text. */
  | {
      readonly kind: 'cpumask';
      readonly name: string;
      readonly offset: number;
      readonly size: number;
      readonly place: 'absolute' | 'relative';
    }
  /** The thread's id, its name, and the CPU, which are not in the record, or not yet. */
  | { readonly kind: 'pid' | 'cpu' | 'comm' | 'stack'; readonly name: string };

/** What every event has. They stand behind the event's own fields, which come first when they have the same names. */
export const COMMON_FILTER_FIELDS: readonly FilterField[] = [
  ...['CPU', 'cpu', 'common_cpu'].map((name) => ({ kind: 'cpu', name }) as const),
  ...['COMM', 'comm'].map((name) => ({ kind: 'comm', name }) as const),
  ...['STACKTRACE', 'stacktrace'].map((name) => ({ kind: 'stack', name }) as const),
  { kind: 'number', name: 'common_type', offset: 0, size: 2, isSigned: false },
  { kind: 'number', name: 'common_flags', offset: 2, size: 1, isSigned: false },
  { kind: 'number', name: 'common_preempt_count', offset: 3, size: 1, isSigned: false },
  { kind: 'pid', name: 'common_pid' },
];

/**
 * What a filter of a user event may name. Of fields with one name it is the last, as in the kernel, which lists them backwards.
 *
 * @param fields in their order
 */
export function userEventFilterFields(fields: readonly EventField[]): readonly FilterField[] {
  return [...fields.map(filterFieldOf).toReversed(), ...COMMON_FILTER_FIELDS];
}

function filterFieldOf(field: EventField): FilterField {
  const { name, offset, size, isSigned, filterType } = field;
  switch (filterType) {
    case 'static-string':
      return { kind: 'text', name, offset, size, place: 'inline' };
    case 'dyn-string':
      return { kind: 'text', name, offset, size, place: 'absolute' };
    case 'rdyn-string':
      return { kind: 'text', name, offset, size, place: 'relative' };
    case 'cpumask':
      return { kind: 'cpumask', name, offset, size, place: locationOf(field) ?? 'absolute' };
    default:
      return { kind: 'number', name, offset, size, isSigned };
  }
}
