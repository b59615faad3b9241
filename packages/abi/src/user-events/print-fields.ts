/** How the kernel prints a user event's record in `trace`, behind the timestamp: `event: a=0x1 (1) s=text`. */

import { type EventField, locationOf } from './fields.ts';
import { isPrintable } from './kernel-text.ts';

const OVERFLOW = '<OVERFLOW>';

/**
 * Prints a record.
 *
 * @param eventName the event's name
 * @param fields its fields in their order
 * @param entry the record: the common fields and the payload, as long as the ring buffer stores it
 * @returns one line with its newline, one character a byte
 */
export function printEventFields(
  eventName: string,
  fields: readonly EventField[],
  entry: Uint8Array,
): string {
  if (fields.length === 0) return `${eventName}:No fields found\n`;
  let text = `${eventName}:`;
  for (const field of fields) text += ` ${field.name}=${printField(field, entry)}`;
  return `${text}\n`;
}

function printField(field: EventField, entry: Uint8Array): string {
  const { offset, size } = field;
  if (offset + size > entry.length) return OVERFLOW;
  const { filterType } = field;
  if (filterType === 'other') return printValue(field, entry);
  if (filterType === 'static-string' || filterType === 'cpumask') return textAt(entry, offset, size);
  const { start, length } = location(entry, offset, filterType === 'rdyn-string');
  return start + length > entry.length ? OVERFLOW : textAt(entry, start, length);
}

function printValue(field: EventField, entry: Uint8Array): string {
  const { offset, size } = field;
  const view = new DataView(entry.buffer, entry.byteOffset, entry.byteLength);
  if (size === 1) {
    const byte = view.getUint8(offset);
    return isPrintable(byte) ? `'${String.fromCharCode(byte)}'(${byte})` : `(${byte})`;
  }
  if (size === 2) return hexAndDecimal(view.getUint16(offset, true), view.getUint16(offset, true));
  if (size === 8) return hexAndDecimal(view.getBigUint64(offset, true), view.getBigInt64(offset, true));
  if (size !== 4) return printArray(entry, offset, true);
  const where = locationOf(field);
  if (where !== undefined) return printArray(entry, offset, where === 'relative');
  return hexAndDecimal(view.getUint32(offset, true), view.getInt32(offset, true));
}

function hexAndDecimal(unsigned: number | bigint, shown: number | bigint): string {
  return `0x${unsigned.toString(16)} (${shown})`;
}

/**
 * An array's bytes. A struct of an odd size prints so too: the kernel takes its first four bytes for the
 * location of an array.
 */
function printArray(entry: Uint8Array, offset: number, isRelative: boolean): string {
  const { start, length } = location(entry, offset, isRelative);
  if (start + length > entry.length) return OVERFLOW;
  const bytes: string[] = [];
  for (let i = start; i < start + length; i++) bytes.push((entry[i] ?? 0).toString(16).padStart(2, '0'));
  return bytes.join(',');
}

/** A dynamic value's place: the low 16 bits say where, the high 16 how many bytes, as a signed number. */
function location(entry: Uint8Array, offset: number, isRelative: boolean): { start: number; length: number } {
  const view = new DataView(entry.buffer, entry.byteOffset, entry.byteLength);
  const start = view.getUint16(offset, true);
  return { start: isRelative ? start + offset + 4 : start, length: view.getInt16(offset + 2, true) };
}

/** The text up to its NUL or `length` bytes. */
function textAt(entry: Uint8Array, start: number, length: number): string {
  let text = '';
  for (let i = start; i < start + length; i++) {
    const byte = entry[i] ?? 0;
    if (byte === 0) break;
    text += String.fromCharCode(byte);
  }
  return text;
}
