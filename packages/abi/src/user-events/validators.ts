/**
 * Whether the dynamic values of a payload lie inside it: what the kernel checks before a record is kept.
 *
 * An event's validators are made once from its fields and never change.
 */

import { COMMON_FIELDS_SIZE } from '../ring/entry.ts';
import { type EventField, locationOf } from './fields.ts';

/** Checks one `__data_loc` or `__rel_loc` field. */
export interface Validator {
  /** Where the location is in a record, in bytes, the common fields included. */
  readonly offset: number;
  readonly isRelative: boolean;
  /** The value is text: the byte before its end has to be NUL. */
  readonly endsInNul: boolean;
}

/** The validators of an event's fields, in the order they are applied. */
export function validatorsOf(fields: readonly EventField[]): Validator[] {
  const validators: Validator[] = [];
  for (const field of fields) {
    const location = locationOf(field);
    if (location === undefined) continue;
    const endsInNul = field.type.includes('char');
    validators.push({ offset: field.offset, isRelative: location === 'relative', endsInNul });
  }
  return validators;
}

/**
 * Checks a payload.
 *
 * @param validators the event's
 * @param bytes what was written
 * @param start where the payload begins in `bytes`
 * @param type the event's id: a text of no bytes at offset 0 to 8 is looked for in the common fields
 * @param pid the writer's thread id, for the same reason
 * @returns whether every dynamic value ends inside the payload, texts with a NUL
 */
export function isPayloadValid(
  validators: readonly Validator[],
  bytes: Uint8Array,
  start: number,
  type: number,
  pid: number,
): boolean {
  // Where the record's first byte would be, were the common fields written before the payload.
  const recordStart = start - COMMON_FIELDS_SIZE;
  const recordEnd = bytes.length - recordStart;
  for (const validator of validators) {
    const field = recordStart + validator.offset;
    if (field < start || field + 4 > bytes.length) return false;
    const valueStart = (bytes[field] as number) | ((bytes[field + 1] as number) << 8);
    const valueSize = (bytes[field + 2] as number) | ((bytes[field + 3] as number) << 8);
    const end = (validator.isRelative ? validator.offset + 4 : 0) + valueStart + valueSize;
    if (end > recordEnd) return false;
    if (!validator.endsInNul) continue;
    const last = end - 1;
    const byte = last < COMMON_FIELDS_SIZE ? commonByte(last, type, pid) : bytes[recordStart + last];
    if (byte !== 0) return false;
  }
  return true;
}

/** A byte of the common fields; the one before them is the ring buffer's and 0 for records in a row. */
function commonByte(index: number, type: number, pid: number): number {
  if (index >= 4) return (pid >>> (8 * (index - 4))) & 0xff;
  return index === 0 || index === 1 ? (type >>> (8 * index)) & 0xff : 0;
}
