/**
 * Prints an event's own text, from its format alone: by its print format where that is understood, otherwise field
 * by field as trace-cmd does. An EventPrinter is made once for an event and never changes.
 */

import { type FormatPart, parseFormatText, printNumber, printText, WIDTH_MAX } from './conversion.ts';
import type { EntryView } from './entry-view.ts';
import type { EventFormat, FormatField } from './event-format.ts';
import { hexBytes } from './print-arithmetic.ts';
import type { Expression } from './expression.ts';
import { parseArguments } from './print-expression.ts';
import { printTokens } from './print-tokens.ts';

/** The text of an entry, one byte a character. */
export type EventPrinter = (entry: EntryView) => string;

const PRINTABLE = /^[\x20-\x7e\t-\r]*$/;

/** The printer of an event. */
export function eventPrinter(format: EventFormat): EventPrinter {
  const compiled = compile(format);
  if (compiled !== undefined) return compiled;
  const failed = format.printFormat === '' ? '' : '[FAILED TO PARSE]';
  return (entry) =>
    failed + format.fields.map((field) => ` ${field.name}=${printField(field, entry)}`).join('');
}

function compile(format: EventFormat): EventPrinter | undefined {
  const tokens = printTokens(format.printFormat);
  if (tokens === undefined) return undefined;
  let texts = 0;
  while (tokens[texts]?.kind === 'text') texts += 1;
  if (texts === 0) return undefined;
  const formatText = tokens
    .slice(0, texts)
    .map(({ text }) => text)
    .join('');
  const parts = parseFormatText(formatText);
  const expressions = parseArguments(tokens.slice(texts), format);
  if (parts === undefined || expressions === undefined) return undefined;
  const steps = stepsOf(parts, expressions);
  if (steps === undefined) return undefined;
  return (entry) => {
    let text = '';
    for (const step of steps) text += typeof step === 'string' ? step : step(entry);
    return text;
  };
}

/** One step a part; undefined when there are too few arguments. */
function stepsOf(
  parts: readonly FormatPart[],
  expressions: readonly Expression[],
): (string | ((entry: EntryView) => string))[] | undefined {
  const left = [...expressions];
  const steps: (string | ((entry: EntryView) => string))[] = [];
  for (const part of parts) {
    if (part.kind === 'literal') {
      steps.push(part.text);
      continue;
    }
    const { conversion } = part;
    const width = conversion.width === '*' ? left.shift() : undefined;
    const value = left.shift();
    if (value === undefined) return undefined;
    const fixed = conversion.width === '*' ? 0 : conversion.width;
    const widthOf = (entry: EntryView): number =>
      width === undefined ? fixed : Math.min(Number(width.number(entry)), WIDTH_MAX);
    steps.push(
      conversion.type === 's'
        ? (entry) => printText(conversion, value.text(entry), widthOf(entry))
        : (entry) => printNumber(conversion, value.number(entry), widthOf(entry)),
    );
  }
  return steps;
}

/** A field as trace-cmd prints it without a print format. */
function printField(field: FormatField, entry: EntryView): string {
  if (field.isArray) {
    if (field.isText) {
      const text = entry.text(field);
      if (PRINTABLE.test(text)) return text;
    }
    return `ARRAY[${hexBytes(entry.bytes(field), ', ')}]`;
  }
  if (field.isSigned) return entry.signed(field).toString();
  const isAddress = field.type.includes('*') || field.type.includes('long');
  const value = entry.unsigned(field);
  return isAddress ? `0x${value.toString(16)}` : value.toString();
}
