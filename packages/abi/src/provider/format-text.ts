/**
 * The text of an entry whose event has a format of its own: the system, a newline, and the format file, of which only what
 * packed fields need is taken. Somebody else wrote it, and it goes to terminals and into recordings: what no probe's format has
 * is refused.
 *
 *     probes
 *     name: open
 *     ID: 1024
 *     format:
 *     <the common fields, and an empty line>
 *         field:unsigned long __probe_ip;  offset:8;  size:8;  signed:0;
 *
 *     print fmt: "(%lx)", REC->__probe_ip
 */
import { COMMON_FIELDS_FORMAT, COMMON_FIELDS_SIZE } from '../ring/entry.ts';
import { ENTRY_MAX } from '../ring/record.ts';
import type { EventField } from '../user-events/fields.ts';

/** Letters of names: ASCII's and latin1's, as the kernel takes them. */
const LETTER = 'A-Za-zÀ-ÖØ-öø-ÿ';
const NAME = `[${LETTER}_][${LETTER}_0-9]*`;
const HEAD = new RegExp(
  `^(?<system>[${LETTER}_][${LETTER}_0-9-]*)\\nname: (?<name>${NAME})\\nID: \\d{1,5}\\nformat:\\n`,
);
const ID_LINE = /^ID: \d{1,5}$/m;
const FIELD = new RegExp(
  `^\\tfield:(?<type>[a-z_][a-z0-9_ ]*(?:\\[\\])?(?:\\[\\d{1,4}\\])?) (?<name>${NAME})(?<brackets>\\[\\])?;` +
    '\\toffset:(?<offset>\\d{1,4});\\tsize:(?<size>\\d{1,4});\\tsigned:(?<signed>[01]);$',
);
const PRINT = /^\nprint fmt: [\x20-\x7e\xa0-\xff]*\n$/;
/** Two fields before 128 arguments. */
const FIELDS_MAX = 130;

/** What a text says. */
interface FormatText {
  readonly system: string;
  readonly name: string;
  readonly fields: readonly EventField[];
}

/**
 * Reads the text of an entry.
 *
 * @returns undefined when it is no format of packed fields
 */
export function parseFormatText(text: string): FormatText | undefined {
  const head = HEAD.exec(text);
  const { system, name } = head?.groups ?? {};
  if (head === null || system === undefined || name === undefined) return undefined;
  const fieldsStart = head[0].length + COMMON_FIELDS_FORMAT.length + 1;
  if (text.slice(head[0].length, fieldsStart) !== `${COMMON_FIELDS_FORMAT}\n`) return undefined;
  const printStart = text.indexOf('\nprint fmt: ', fieldsStart - 1);
  if (printStart < 0 || !PRINT.test(text.slice(printStart))) return undefined;
  const fields = parseFields(text.slice(fieldsStart, printStart));
  return fields === undefined ? undefined : { system, name, fields };
}

/** The text with another number behind `ID: `. */
export function withEventId(text: string, id: number): string {
  return text.replace(ID_LINE, `ID: ${id}`);
}

function parseFields(text: string): EventField[] | undefined {
  const fields: EventField[] = [];
  let end: number = COMMON_FIELDS_SIZE;
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const field = parseField(line);
    // Packed: each begins where the one before it ends.
    if (field === undefined || field.offset !== end || fields.length === FIELDS_MAX) return undefined;
    end += field.size;
    fields.push(field);
  }
  return end > ENTRY_MAX ? undefined : fields;
}

function parseField(line: string): EventField | undefined {
  const { type, name, brackets = '', offset, size, signed } = FIELD.exec(line)?.groups ?? {};
  if (type === undefined || name === undefined || Number(size) === 0) return undefined;
  return {
    type: `${type}${brackets}`,
    name,
    offset: Number(offset),
    size: Number(size),
    isSigned: signed === '1',
    filterType: type.startsWith('__data_loc char[]') ? 'dyn-string' : 'other',
    shownLength: 0,
  };
}
