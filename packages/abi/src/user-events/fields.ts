/**
 * An event's fields: how a command's text becomes them, and how they read as text again.
 *
 *     u32 count; struct point where 16; __data_loc char[] name
 *
 * Fields lie packed behind the record's eight common bytes. An `EventField` never changes.
 */

import { errnoName, type ErrnoName, isErrnoName } from '@usertrace/base';
import { COMMON_FIELDS_SIZE } from '../ring/entry.ts';
import { isDataLoc, isRelLoc, isStruct, SPACED_PREFIXES, sizeOfType } from './field-types.ts';
import { parseUint32, skipSpaces, splitWords } from './kernel-text.ts';

/** How a field's value is printed; anything but `other` is text. */
export type FilterType = 'other' | 'static-string' | 'cpumask' | 'dyn-string' | 'rdyn-string';

/** A field of an event. */
export interface EventField {
  readonly type: string;
  readonly name: string;
  /** Where it is in a record, in bytes, the common fields included. */
  readonly offset: number;
  /** Bytes it takes in a record. */
  readonly size: number;
  readonly isSigned: boolean;
  readonly filterType: FilterType;
  /** The number the format file shows in an array's brackets; 0 shows nothing. */
  readonly shownLength: number;
}

/**
 * Reads the fields of a command.
 *
 * @param text what follows the event's name; each field ends at a `;` or at the end
 * @returns the fields in their order, or the errno that registration answers
 */
export function parseFields(text: string): EventField[] | ErrnoName {
  const fields: EventField[] = [];
  let offset = COMMON_FIELDS_SIZE;
  for (const part of text.split(';')) {
    const declaration = skipSpaces(part);
    if (declaration === '') continue;
    const parsed = parseField(declaration);
    if (typeof parsed === 'string') return parsed;
    const { type, name, size } = parsed;
    const isSigned = !type.startsWith('u');
    fields.push({ type, name, offset, size, isSigned, filterType: filterTypeOf(type), shownLength: 0 });
    offset = (offset + size) >>> 0;
  }
  return fields;
}

/** The fields as one line, the way `dynamic_events` lists them: `u32 a; struct s b 4`. */
export function fieldsText(fields: readonly EventField[]): string {
  return fields
    .map(({ type, name, size }) => (isStruct(type) ? `${type} ${name} ${size}` : `${type} ${name}`))
    .join('; ');
}

/**
 * The fewest bytes of payload that hold all fields.
 *
 * @returns bytes without the common fields; Infinity when the sizes overflow the kernel's 32 bits to below
 *   the record's start, where no payload is enough
 */
export function minimumPayload(fields: readonly EventField[]): number {
  const last = fields.at(-1);
  if (last === undefined) return 0;
  const size = ((last.offset + last.size) >>> 0) - COMMON_FIELDS_SIZE;
  return (size | 0) < 0 ? Number.POSITIVE_INFINITY : size;
}

/**
 * The words of a command's fields, where a `;` always ends a word.
 *
 * @param text what follows the event's name
 */
export function fieldWords(text: string): string[] {
  return splitWords(text.replaceAll(';', '; '));
}

/**
 * Whether a command's words say the fields of an existing event. Each space counts as one, a `;` behind the
 * last field does not count; nothing else may differ.
 *
 * @param words the words, of {@link fieldWords} or {@link splitWords}
 * @param existing the event's fields as {@link fieldsText} gives them
 */
export function wordsMatchFields(words: readonly string[], existing: string): boolean {
  if (words.length === 0 || existing === '') return words.length === 0 && existing === '';
  const said = words.join(' ');
  return said === existing || said === `${existing};`;
}

function parseField(declaration: string): { type: string; name: string; size: number } | ErrnoName {
  const prefix = SPACED_PREFIXES.find((spaced) => declaration.startsWith(spaced));
  let parts: string[];
  if (prefix === undefined) parts = declaration.split(' ');
  else {
    const end = declaration.indexOf(' ', prefix.length);
    if (end < 0) return 'EINVAL';
    parts = [declaration.slice(0, end), ...declaration.slice(end + 1).split(' ')];
  }
  const [type, name, sizeText, ...rest] = parts;
  if (type === undefined || name === undefined || rest.length > 0) return 'EINVAL';
  if (sizeText !== undefined && prefix !== 'struct ') return 'EINVAL';
  const size = sizeText === undefined ? sizeOfType(type) : parseUint32(sizeText, 10);
  if (size === undefined || size === 0) return 'EINVAL';
  // The kernel keeps the size in an int and takes a negative one for an error code.
  if (size > 0x7fff_ffff) return errnoOf(0x1_0000_0000 - size);
  return { type, name, size };
}

function errnoOf(number: number): ErrnoName {
  const name = errnoName(number);
  return isErrnoName(name) ? name : 'EINVAL';
}

function filterTypeOf(type: string): FilterType {
  const isText = type.includes('char');
  const isMask = type.includes('cpumask_t');
  if (type.includes('__data_loc') && (isText || isMask)) return isText ? 'dyn-string' : 'cpumask';
  if (type.includes('__rel_loc') && (isText || isMask)) return isText ? 'rdyn-string' : 'cpumask';
  return type.includes('[') && isText ? 'static-string' : 'other';
}

/** Whether a field's value lies elsewhere in the record: `absolute` from its start, `relative` to the field. */
export function locationOf(field: EventField): 'absolute' | 'relative' | undefined {
  if (isDataLoc(field.type)) return 'absolute';
  return isRelLoc(field.type) ? 'relative' : undefined;
}
