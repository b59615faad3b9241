/**
 * The types an event's field can have: one table, from which sizes and print formats come.
 *
 * Besides the table: `struct NAME` with a size of its own, `char[N]` and `unsigned char[N]`, and the
 * dynamic ones, `__data_loc TYPE[]` and `__rel_loc TYPE[]`, whose field holds a u32: the low half is where
 * the value is in the record, the high half its size (Documentation/trace/user_events.rst).
 */

import { parseUint32 } from './kernel-text.ts';

const SCALARS: ReadonlyMap<string, { sizeBytes: number; format: string }> = new Map([
  ['s64', { sizeBytes: 8, format: '%lld' }],
  ['u64', { sizeBytes: 8, format: '%llu' }],
  ['s32', { sizeBytes: 4, format: '%d' }],
  ['u32', { sizeBytes: 4, format: '%u' }],
  ['int', { sizeBytes: 4, format: '%d' }],
  ['unsigned int', { sizeBytes: 4, format: '%u' }],
  ['s16', { sizeBytes: 2, format: '%d' }],
  ['u16', { sizeBytes: 2, format: '%u' }],
  ['short', { sizeBytes: 2, format: '%d' }],
  ['unsigned short', { sizeBytes: 2, format: '%u' }],
  ['s8', { sizeBytes: 1, format: '%d' }],
  ['u8', { sizeBytes: 1, format: '%u' }],
  ['char', { sizeBytes: 1, format: '%d' }],
  ['unsigned char', { sizeBytes: 1, format: '%u' }],
]);

/** Types that hold a space, longest first: the type goes on to the first space behind the prefix. */
export const SPACED_PREFIXES: readonly string[] = [
  'unsigned ',
  'struct ',
  '__data_loc unsigned ',
  '__data_loc ',
  '__rel_loc unsigned ',
  '__rel_loc ',
];

const DYNAMIC_SIZE_BYTES = 4;
const ARRAY_SIZE_MAX_BYTES = 1024;
const ARRAY_SIZE_TEXT_MAX = 7;

export const isStruct = (type: string): boolean => type.startsWith('struct ');
export const isDataLoc = (type: string): boolean => type.startsWith('__data_loc ');
export const isRelLoc = (type: string): boolean => type.startsWith('__rel_loc ');

/**
 * The size of a value of a type.
 *
 * @returns bytes; undefined for an unknown type, for a struct, which does not say, and for a bad array size
 */
export function sizeOfType(type: string): number | undefined {
  const scalar = SCALARS.get(type);
  if (scalar !== undefined) return scalar.sizeBytes;
  if (type.startsWith('char[') || type.startsWith('unsigned char[')) return arraySize(type);
  return isDataLoc(type) || isRelLoc(type) ? DYNAMIC_SIZE_BYTES : undefined;
}

/** The conversion that a type has in the format file's `print fmt`. */
export function printConversion(type: string): string {
  const scalar = SCALARS.get(type);
  if (scalar !== undefined) return scalar.format;
  return type.includes('char[') ? '%s' : '%llu';
}

/** The size between the brackets. The text behind `[` has to fit the kernel's eight bytes with its NUL. */
function arraySize(type: string): number | undefined {
  const text = type.slice(type.indexOf('[') + 1);
  const end = text.indexOf(']');
  if (text.length > ARRAY_SIZE_TEXT_MAX || end < 0) return undefined;
  const size = parseUint32(text.slice(0, end), 0);
  return size !== undefined && size <= ARRAY_SIZE_MAX_BYTES ? size : undefined;
}
