/**
 * Where everything of an event's records lies. Made once from the declaration; the encoders only follow it.
 *
 *     word 0        1              2                      bodyWords
 *      +------------+--------------+------ ... -----------+-----------------+-----------------+
 *      | type, 0, 0 | pid          | fields, packed       | 1st long value  | 2nd long value  | ...
 *      +------------+--------------+------ ... -----------+-----------------+-----------------+
 *                    common fields   as the kernel does,    each starts on a word; texts end with NUL
 *                                    then zero to a word
 */
import { COMMON_FIELDS_SIZE } from '@usertrace/abi';
import type { DeclaredField } from '../declaration.ts';
import type { Storage } from '../field-type.ts';

/** The fewest words of an entry: the kernel keeps as many (abi/ring/record.ts). */
const ENTRY_WORDS_MIN = 3;

/** A field in a record. */
export interface PlannedField {
  readonly storage: Storage;
  /** Where it is in the entry, in bytes. */
  readonly offset: number;
  readonly size: number;
  /** For text and blob: from where its value's place is counted, in bytes from the entry's start. */
  readonly origin: number;
}

/** The records of one event. */
export interface RecordPlan {
  readonly fields: readonly PlannedField[];
  /** Words of the entry up to the first value of any length; the whole entry when there is none. */
  readonly bodyWords: number;
  /** Whether entries differ in length. */
  readonly isVariable: boolean;
  /** Bytes of payload that the kernel is given when there are no values of any length. */
  readonly payloadSize: number;
}

/** Plans the records of an event. */
export function recordPlanOf(declared: readonly DeclaredField[]): RecordPlan {
  const fields = declared.map(({ field, storage }): PlannedField => {
    const { offset, size, type } = field;
    return { storage, offset, size, origin: type.startsWith('__rel_loc') ? offset + size : 0 };
  });
  const last = fields.at(-1);
  const end = last === undefined ? COMMON_FIELDS_SIZE : last.offset + last.size;
  return {
    fields,
    bodyWords: Math.max(Math.ceil(end / 4), ENTRY_WORDS_MIN),
    isVariable: fields.some(({ storage }) => storage === 'text' || storage === 'blob'),
    payloadSize: end - COMMON_FIELDS_SIZE,
  };
}
