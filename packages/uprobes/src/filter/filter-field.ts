/** The fields that a filter may name: those of the event, and those that every event has. */

import { eventLayout } from '../definition/event-format.ts';
import type { ProbeDefinition } from '../definition/definition.ts';
import type { FetchArgument } from '../definition/fetch-argument.ts';

/** A field of an event's records, as a filter sees it. */
export type FilterField =
  | {
      readonly kind: 'number';
      readonly name: string;
      /** Where it is in the record. */
      readonly offset: number;
      /** Bytes; others than 1, 2, 4 and 8 are an array, which no comparison is true of. */
      readonly size: number;
      readonly isSigned: boolean;
      /** What it is fetched from, when it is an argument of a probe. */
      readonly argument?: FetchArgument;
    }
  /** Text whose place is told at `offset`. */
  | { readonly kind: 'text'; readonly name: string; readonly offset: number; readonly size: number }
  /** The thread's id, its name, and the CPU, which are not in the record, or not yet. */
  | { readonly kind: 'pid' | 'cpu' | 'comm' | 'stack'; readonly name: string };

/** Behind the event's own fields, which come first when they have the same names. */
const COMMON_FIELDS: readonly FilterField[] = [
  ...['CPU', 'cpu', 'common_cpu'].map((name) => ({ kind: 'cpu', name }) as const),
  ...['COMM', 'comm'].map((name) => ({ kind: 'comm', name }) as const),
  ...['STACKTRACE', 'stacktrace'].map((name) => ({ kind: 'stack', name }) as const),
  { kind: 'number', name: 'common_type', offset: 0, size: 2, isSigned: false },
  { kind: 'number', name: 'common_flags', offset: 2, size: 1, isSigned: false },
  { kind: 'number', name: 'common_preempt_count', offset: 3, size: 1, isSigned: false },
  { kind: 'pid', name: 'common_pid' },
];

const ADDRESS_FIELDS: Readonly<Record<ProbeDefinition['kind'], readonly string[]>> = {
  entry: ['__probe_ip'],
  return: ['__probe_func', '__probe_ret_ip'],
};

/**
 * The fields of a definition's event.
 *
 * @param definition any of the event's
 */
export function filterFields(definition: ProbeDefinition): readonly FilterField[] {
  const addresses = ADDRESS_FIELDS[definition.kind].map(
    (name, index): FilterField => ({ kind: 'number', name, offset: 8 + 8 * index, size: 8, isSigned: false }),
  );
  const fetched = eventLayout(definition).places.map(({ argument, offset, size }): FilterField => {
    const { name, type } = argument;
    if (type.basic.isText) return { kind: 'text', name, offset, size };
    return { kind: 'number', name, offset, size, isSigned: type.basic.isSigned, argument };
  });
  return [...addresses, ...fetched, ...COMMON_FIELDS];
}
