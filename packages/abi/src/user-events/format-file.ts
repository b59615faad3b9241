/** The text of `events/SYSTEM/EVENT/format`, from which tools learn how to read a record. */

import { COMMON_FIELDS_FORMAT } from '../ring/entry.ts';
import { type EventField, locationOf } from './fields.ts';
import { printConversion } from './field-types.ts';

/**
 * The format file of an event.
 *
 * @param name the event's name
 * @param id the number its records carry as common_type
 * @param fields its fields in their order
 */
export function formatFileText(name: string, id: number, fields: readonly EventField[]): string {
  return `name: ${name}\nID: ${id}\nformat:\n${COMMON_FIELDS_FORMAT}\n${fields.map(fieldLine).join('')}\nprint fmt: ${printFormat(fields)}\n`;
}

/** What printf(3) would print the fields with: `"a=%u s=%s", REC->a, __get_str(s)`. */
function printFormat(fields: readonly EventField[]): string {
  const conversions = fields.map(({ name, type }) => `${name}=${printConversion(type)}`).join(' ');
  return `"${conversions}"${fields.map((field) => `, ${printArgument(field)}`).join('')}`;
}

function printArgument(field: EventField): string {
  const location = field.type.includes('char') ? locationOf(field) : undefined;
  if (location === 'absolute') return `__get_str(${field.name})`;
  return location === 'relative' ? `__get_rel_str(${field.name})` : `REC->${field.name}`;
}

function fieldLine(field: EventField): string {
  return `\tfield:${declaration(field)};\toffset:${field.offset};\tsize:${field.size};\tsigned:${Number(field.isSigned)};\n`;
}

/** C's way to declare it: the brackets of `char[8] s` go behind the name. */
function declaration({ type, name, shownLength }: EventField): string {
  const bracket = type.startsWith('__data_loc') ? -1 : type.indexOf('[');
  if (bracket < 0) return `${type} ${name}`;
  return `${type.slice(0, bracket)} ${name}[${shownLength === 0 ? '' : shownLength}]`;
}
