/** Expressions over an event's entry, from which what a `print fmt` prints is made. */

import type { EntryView } from './entry-view.ts';
import type { FormatField } from './event-format.ts';

/** An expression over an entry. */
export interface Expression {
  /** Its value, taken as unsigned. */
  number(entry: EntryView): number | bigint;
  /** What `%s` prints of it, one byte a character. */
  text(entry: EntryView): string;
  /** The bytes it points to. */
  bytes(entry: EntryView): Uint8Array;
}

/** Stands for the entry in constants. */
export const NO_ENTRY = {
  unsigned: () => 0,
  signed: () => 0,
  bytes: () => new Uint8Array(0),
  text: () => '',
} as unknown as EntryView;

/** A field's value. */
export function ofField(field: FormatField): Expression {
  return {
    number: (entry) => entry.unsigned(field),
    text: (entry) => entry.text(field),
    bytes: (entry) => entry.bytes(field),
  };
}

/** A number; as a text its digits. */
export function ofNumber(number: (entry: EntryView) => number | bigint): Expression {
  return { number, text: (entry) => String(number(entry)), bytes: () => new Uint8Array(0) };
}

/** A text that is made of each entry. */
export function ofComputedText(text: (entry: EntryView) => string): Expression {
  return { number: () => 0, text, bytes: (entry) => Buffer.from(text(entry), 'latin1') };
}

/** A text of the format. */
export function ofText(text: string): Expression {
  return ofComputedText(() => text);
}

/** One of two, by whether a condition is not 0. */
export function ofChoice(condition: Expression, yes: Expression, no: Expression): Expression {
  const chosen = (entry: EntryView): Expression => (BigInt(condition.number(entry)) === 0n ? no : yes);
  return {
    number: (entry) => chosen(entry).number(entry),
    text: (entry) => chosen(entry).text(entry),
    bytes: (entry) => chosen(entry).bytes(entry),
  };
}

/** A value that `__print_symbolic` or `__print_flags` has a name for. */
export type NamedValue = readonly [bigint, string];

/** What `__print_symbolic` prints: the value's name, or the value. */
export function symbolicText(value: bigint, names: readonly NamedValue[]): string {
  return names.find(([known]) => known === value)?.[1] ?? `0x${value.toString(16)}`;
}

/** What `__print_flags` prints: the names of the flags that are set, and what is left of the value. */
export function flagsText(value: bigint, names: readonly NamedValue[], delimiter: string): string {
  if (value === 0n) return names.find(([flag]) => flag === 0n)?.[1] ?? '';
  let left = value;
  const shown: string[] = [];
  for (const [flag, name] of names) {
    if (flag === 0n || (left & flag) !== flag) continue;
    shown.push(name);
    left &= ~flag;
  }
  if (left !== 0n) shown.push(`0x${left.toString(16)}`);
  return shown.join(delimiter);
}
