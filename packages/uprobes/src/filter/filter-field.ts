/** The fields of a probe's event, as a filter may name them. */

import { COMMON_FILTER_FIELDS, type FilterField } from '@usertrace/abi';
import type { ProbeDefinition } from '../definition/definition.ts';
import { eventLayout } from '../definition/event-format.ts';
import type { FetchArgument } from '../definition/fetch-argument.ts';

/** A number that an argument of the probe fetches. */
type ArgumentField = FilterField & { readonly argument: FetchArgument };

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
    if (type.basic.isText) return { kind: 'text', name, offset, size, place: 'absolute' };
    const field: ArgumentField = {
      kind: 'number',
      name,
      offset,
      size,
      isSigned: type.basic.isSigned,
      argument,
    };
    return field;
  });
  return [...addresses, ...fetched, ...COMMON_FILTER_FIELDS];
}

/** The argument that a field of filterFields() is fetched by; undefined for texts and for what is no argument. */
export function argumentOf(field: FilterField): FetchArgument | undefined {
  return 'argument' in field ? (field as ArgumentField).argument : undefined;
}
