/**
 * HitFilter says of a record whether a filter lets it through. It is made once, and made of functions that look at one field each.
 *
 * As in the kernel: a number is compared as the field's type, to whose size the filter's number is cut; nothing is true of an array,
 * nor of a text that could not be read, except that it is not equal.
 */

import { globMatcher, PatternError } from '@usertrace/base';
import type { FilterField } from './filter-field.ts';
import { type Comparison, type FilterExpression, parseFilter } from './filter-syntax.ts';

/** What a filter is asked about. */
export interface FilteredHit {
  /** The record, common fields first. */
  readonly record: DataView;
  readonly tid: number;
  /** The thread's name, one character a byte. */
  readonly comm: string;
  readonly cpu: number;
}

type Test = (hit: FilteredHit) => boolean;

export class HitFilter {
  /** The text, as the `filter` file shows it. */
  readonly text: string;
  readonly expression: FilterExpression;
  readonly #test: Test;

  private constructor(text: string, expression: FilterExpression) {
    this.text = text;
    this.expression = expression;
    this.#test = testOf(expression);
  }

  /**
   * Reads a filter.
   *
   * @param text one character a byte
   * @param fields of the event (filterFields())
   * @returns undefined for `0`, which stands for none
   * @throws {FilterRefusal} as the kernel answers it
   */
  static parse(text: string, fields: readonly FilterField[]): HitFilter | undefined {
    const expression = parseFilter(text, fields);
    return expression === undefined ? undefined : new HitFilter(text.replace(/\s+$/u, ''), expression);
  }

  /** Whether the filter lets a hit through. */
  matches(hit: FilteredHit): boolean {
    return this.#test(hit);
  }
}

function testOf(expression: FilterExpression): Test {
  if (expression.kind === 'compare') {
    const { field, comparison, value } = expression;
    return typeof value === 'string'
      ? textTest(field, comparison, value)
      : numberTest(field, comparison, value);
  }
  if (expression.kind === 'not') {
    const test = testOf(expression.term);
    return (hit) => !test(hit);
  }
  const tests = expression.terms.map(testOf);
  if (expression.kind === 'all') return (hit) => tests.every((test) => test(hit));
  return (hit) => tests.some((test) => test(hit));
}

function textTest(field: FilterField, comparison: Comparison, wanted: string): Test {
  const matches = comparison === '~' ? globOf(wanted) : (text: string): boolean => text === wanted;
  const isNegated = comparison === '!=';
  return (hit) => {
    const text =
      field.kind === 'comm' ? hit.comm : field.kind === 'text' ? textAt(hit.record, field.offset) : undefined;
    return (text !== undefined && matches(text)) !== isNegated;
  };
}

/** A pattern that is no glob stands for itself. */
function globOf(pattern: string): (text: string) => boolean {
  try {
    return globMatcher(pattern);
  } catch (error) {
    if (error instanceof PatternError) return (text) => text === pattern;
    throw error;
  }
}

/** The text that a location tells of: where, and in the upper half how many bytes with NUL; undefined for none. */
function textAt(record: DataView, offset: number): string | undefined {
  const start = record.getUint16(offset, true);
  const length = record.getUint16(offset + 2, true);
  if (length === 0 || start + length > record.byteLength) return undefined;
  let text = '';
  for (let at = start; at < start + length; at++) {
    const byte = record.getUint8(at);
    if (byte === 0) break;
    text += String.fromCharCode(byte);
  }
  return text;
}

function numberTest(field: FilterField, comparison: Comparison, wanted: bigint): Test {
  const number = numberReader(field);
  if (number === undefined) return () => false;
  const { read, cut } = number;
  const other = cut(wanted);
  const compare = COMPARE[comparison];
  return (hit) => compare(read(hit), other);
}

/** How numbers compare. */
const COMPARE: Readonly<Record<Comparison, (one: bigint, other: bigint) => boolean>> = {
  '==': (one, other) => one === other,
  '!=': (one, other) => one !== other,
  '<': (one, other) => one < other,
  '<=': (one, other) => one <= other,
  '>': (one, other) => one > other,
  '>=': (one, other) => one >= other,
  '&': (one, other) => (one & other) !== 0n,
  '~': () => false,
};

interface NumberReader {
  readonly read: (hit: FilteredHit) => bigint;
  /** What the field's type keeps of a number. */
  readonly cut: (value: bigint) => bigint;
}

/** @returns undefined for what has no number */
function numberReader(field: FilterField): NumberReader | undefined {
  if (field.kind === 'pid')
    return { read: ({ tid }) => BigInt(tid), cut: (value) => BigInt.asIntN(32, value) };
  if (field.kind === 'cpu')
    return { read: ({ cpu }) => BigInt(cpu), cut: (value) => BigInt.asIntN(32, value) };
  if (field.kind !== 'number' || ![1, 2, 4, 8].includes(field.size)) return undefined;
  const { offset, size, isSigned } = field;
  const cut = (value: bigint): bigint =>
    isSigned ? BigInt.asIntN(size * 8, value) : BigInt.asUintN(size * 8, value);
  const read = ({ record }: FilteredHit): bigint => {
    if (size === 8) return isSigned ? record.getBigInt64(offset, true) : record.getBigUint64(offset, true);
    if (size === 4) return BigInt(isSigned ? record.getInt32(offset, true) : record.getUint32(offset, true));
    if (size === 2) return BigInt(isSigned ? record.getInt16(offset, true) : record.getUint16(offset, true));
    return BigInt(isSigned ? record.getInt8(offset) : record.getUint8(offset));
  };
  return { read, cut };
}
