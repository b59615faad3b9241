/**
 * Prints a probe's event as the kernel's `trace` does. The kernel does not use the print format for that, and trace-cmd, which does and
 * whose way eventPrinter() has, prints some things otherwise: small negative numbers as positive ones, characters not at all, the two
 * addresses of a return the other way round.
 */

import type { EntryView } from './entry-view.ts';
import type { EventFormat, FormatField } from './event-format.ts';
import type { EventPrinter } from './event-printer.ts';

/** The first text of a print format. */
const FORMAT_TEXT = /^"(?<text>(?:[^"\\]|\\.)*)"/u;
/** An argument in it: its name, and a conversion or as many as an array has items. */
const ARGUMENT = / (?<name>\w+)=(?<conversions>\{[^}]*\}|\S+)/gu;

/** What stands for one value. */
type ValuePrinter = (entry: EntryView, field: FormatField) => string;

const VALUE_PRINTERS: Readonly<Record<string, ValuePrinter>> = {
  '%d': (entry, field) => `${entry.signed(field)}`,
  '%Ld': (entry, field) => `${entry.signed(field)}`,
  '%u': (entry, field) => `${entry.unsigned(field)}`,
  '%Lu': (entry, field) => `${entry.unsigned(field)}`,
  '0x%x': (entry, field) => `0x${entry.unsigned(field).toString(16)}`,
  '0x%Lx': (entry, field) => `0x${entry.unsigned(field).toString(16)}`,
  "'%c'": (entry, field) => `'${String.fromCharCode(Number(entry.unsigned(field)))}'`,
  // A text has its NUL at least: without a byte, it could not be read.
  '\\"%s\\"': (entry, field) => (entry.bytes(field).length === 0 ? '(fault)' : `"${entry.text(field)}"`),
};

/** An argument, with a field for each of its items. */
interface Argument {
  readonly name: string;
  readonly isArray: boolean;
  readonly print: ValuePrinter;
  readonly items: readonly FormatField[];
}

/**
 * The printer of a probe's event.
 *
 * @returns undefined when the event is none of a probe
 */
export function probePrinter({ fields, printFormat }: EventFormat): EventPrinter | undefined {
  const [first, second] = fields;
  const isReturn = first?.name === '__probe_func' && second?.name === '__probe_ret_ip';
  const addresses = isReturn ? [second, first] : first?.name === '__probe_ip' ? [first] : [];
  const values = argumentsOf(fields.slice(addresses.length), printFormat);
  if (addresses.length === 0 || values === undefined) return undefined;
  return (entry) => {
    const places = addresses.map((field) => `0x${entry.unsigned(field).toString(16)}`);
    return `(${places.join(' <- ')})${values.map((argument) => textOf(argument, entry)).join('')}`;
  };
}

function textOf({ name, isArray, print, items }: Argument, entry: EntryView): string {
  const texts = items.map((item) => print(entry, item)).join(',');
  return ` ${name}=${isArray ? `{${texts}}` : texts}`;
}

function argumentsOf(fields: readonly FormatField[], printFormat: string): Argument[] | undefined {
  const text = FORMAT_TEXT.exec(printFormat)?.groups?.['text'] ?? '';
  const written = [...text.matchAll(ARGUMENT)];
  if (written.length !== fields.length) return undefined;
  const found = fields.map((field, index) => argumentOf(field, written[index]?.groups));
  return found.every((argument) => argument !== undefined) ? found : undefined;
}

function argumentOf(
  field: FormatField,
  { name, conversions = '' }: Readonly<Record<string, string | undefined>> = {},
): Argument | undefined {
  const isArray = conversions.startsWith('{');
  const each = isArray ? conversions.slice(1, -1).split(',') : [conversions];
  const print = VALUE_PRINTERS[each[0] ?? ''];
  if (print === undefined || name !== field.name) return undefined;
  const size = field.size / each.length;
  const items = each.map((_, index) => ({ ...field, offset: field.offset + index * size, size }));
  return { name, isArray, print, items };
}
