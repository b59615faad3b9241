/** What a format file (`events/SYSTEM/EVENT/format`) says. An EventFormat never changes. */

/** A field of an event. */
export interface FormatField {
  readonly name: string;
  /** As declared, such as `u32`, `char[8]`, `__rel_loc char[]`. */
  readonly type: string;
  /** Where it is in the entry, in bytes, common fields included. */
  readonly offset: number;
  readonly size: number;
  readonly isSigned: boolean;
  readonly isArray: boolean;
  /** An array of characters or bytes. */
  readonly isText: boolean;
  /** Where the value is: in the field, or where the field says, from the entry's start or behind the field. */
  readonly location: 'inline' | 'absolute' | 'relative';
}

/** An event's format. */
export interface EventFormat {
  readonly system: string;
  readonly name: string;
  readonly id: number;
  /** `common_type` and what else every event has. */
  readonly commonFields: readonly FormatField[];
  readonly fields: readonly FormatField[];
  /** What follows `print fmt: `. */
  readonly printFormat: string;
}

const FIELDS_MAX = 4096;
const FIELD_LINE =
  /^\s*field(?: special)?:(?<declaration>[^;]*);\s*offset:(?<offset>\d{1,9});\s*size:(?<size>\d{1,9});(?:\s*signed:(?<signed>\d);)?/;
const PRINT_PREFIX = 'print fmt: ';

/**
 * Reads a format file.
 *
 * @param system the event's system
 * @param text one byte a character
 * @returns undefined when it has no name or no id
 */
export function parseEventFormat(system: string, text: string): EventFormat | undefined {
  const printStart = text.indexOf(PRINT_PREFIX);
  const head = printStart < 0 ? text : text.slice(0, printStart);
  const printFormat = printStart < 0 ? '' : text.slice(printStart + PRINT_PREFIX.length).trim();
  let name: string | undefined;
  let id: number | undefined;
  const all: FormatField[] = [];
  for (const line of head.split('\n')) {
    if (line.startsWith('name: ')) name = line.slice('name: '.length).trim();
    else if (line.startsWith('ID: ')) id = Number(line.slice('ID: '.length));
    else {
      const field = parseField(line);
      if (field !== undefined && all.length < FIELDS_MAX) all.push(field);
    }
  }
  if (name === undefined || name === '' || id === undefined || !Number.isInteger(id)) return undefined;
  const isCommon = (field: FormatField): boolean => field.name.startsWith('common_');
  return {
    system,
    name,
    id,
    commonFields: all.filter(isCommon),
    fields: all.filter((field) => !isCommon(field)),
    printFormat,
  };
}

function parseField(line: string): FormatField | undefined {
  const groups = FIELD_LINE.exec(line)?.groups;
  if (groups === undefined) return undefined;
  const declared = declaredType((groups['declaration'] ?? '').trim());
  if (declared === undefined) return undefined;
  const { type, name } = declared;
  const location = type.startsWith('__data_loc ')
    ? 'absolute'
    : type.startsWith('__rel_loc ')
      ? 'relative'
      : 'inline';
  const isArray = type.includes('[');
  return {
    name,
    type,
    offset: Number(groups['offset']),
    size: Number(groups['size']),
    isSigned: groups['signed'] === '1',
    isArray,
    isText: isArray && /char|u8|s8|int8_t/.test(type),
    location,
  };
}

/** `char s[8]` has the type `char[8]`; `__rel_loc char[] s` says it in that order itself; `char *s` is a `char *`. */
function declaredType(declaration: string): { type: string; name: string } | undefined {
  const bracket = declaration.endsWith(']') ? declaration.lastIndexOf('[') : -1;
  const suffix = bracket < 0 ? '' : declaration.slice(bracket);
  const rest = (bracket < 0 ? declaration : declaration.slice(0, bracket)).trimEnd();
  const nameStart = Math.max(rest.lastIndexOf(' '), rest.lastIndexOf('*')) + 1;
  const name = rest.slice(nameStart);
  if (name === '') return undefined;
  return { name, type: rest.slice(0, nameStart).trimEnd() + suffix };
}
