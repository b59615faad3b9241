/**
 * EventFilter says of a record whether a filter lets it through. It is made once, and made of functions that look at one field each.
 *
 * As in the kernel: a number is compared as the field's type, to whose size the filter's number is cut, and nothing is true of an
 * array or a struct.
 */

import type { FilterField } from './filter-field.ts';
import type { Comparison, FilterExpression } from './filter-expression.ts';
import { parseFilter } from './filter-syntax.ts';
import { equalTo, type FieldText, like } from './text-pattern.ts';

/** What a filter is asked about. */
export interface FilteredRecord {
  /** The record, common fields first. */
  readonly record: DataView;
  readonly tid: number;
  /** The thread's name, one character a byte. */
  readonly comm: string;
  readonly cpu: number;
}

type Test = (asked: FilteredRecord) => boolean;

/** Bytes that the kernel keeps of a thread's name, with its NUL. */
const COMM_SIZE = 16;
/** The most CPUs that a record's set may tell of. */
const CPUMASK_BYTES_MAX = 1024;

export class EventFilter {
  /** The text, as the `filter` file shows it. */
  readonly text: string;
  readonly expression: FilterExpression;
  readonly #test: Test;

  private constructor(text: string, expression: FilterExpression, cpuCount: number) {
    this.text = text;
    this.expression = expression;
    this.#test = testOf(expression, cpuCount);
  }

  /**
   * Reads a filter.
   *
   * @param text one character a byte
   * @param fields of the event; the first of a name counts
   * @param cpuCount of the machine, which lists of CPUs may not go beyond
   * @returns undefined for `0`, which stands for none
   * @throws {FilterRefusal} as the kernel answers it
   */
  static parse(text: string, fields: readonly FilterField[], cpuCount: number): EventFilter | undefined {
    const expression = parseFilter(text, fields, cpuCount);
    return expression === undefined
      ? undefined
      : new EventFilter(text.replace(/\s+$/u, ''), expression, cpuCount);
  }

  /** Whether the filter lets a record through. */
  matches(asked: FilteredRecord): boolean {
    return this.#test(asked);
  }
}

function testOf(expression: FilterExpression, cpuCount: number): Test {
  if (expression.kind === 'compare') {
    const { field, comparison, value } = expression;
    if (typeof value === 'string') return textTest(field, comparison, value);
    if (typeof value === 'bigint') return numberTest(field, comparison, value);
    return cpuSetTest(field, comparison, value, cpuCount);
  }
  if (expression.kind === 'not') {
    const test = testOf(expression.term, cpuCount);
    return (asked) => !test(asked);
  }
  const tests = expression.terms.map((term) => testOf(term, cpuCount));
  if (expression.kind === 'all') return (asked) => tests.every((test) => test(asked));
  return (asked) => tests.some((test) => test(asked));
}

function textTest(field: FilterField, comparison: Comparison, wanted: string): Test {
  const matches = comparison === '~' ? like(wanted) : equalTo(wanted);
  const isNegated = comparison === '!=';
  return (asked) => {
    const text = textOf(field, asked);
    return (text !== undefined && matches(text)) !== isNegated;
  };
}

/** @returns undefined for text that is said to be outside of the record */
function textOf(field: FilterField, { record, comm }: FilteredRecord): FieldText | undefined {
  if (field.kind === 'comm') return { onwards: comm.padEnd(COMM_SIZE, '\0'), length: COMM_SIZE };
  if (field.kind !== 'text') return undefined;
  const { start, length } =
    field.place === 'inline' ? { start: field.offset, length: field.size } : locationAt(field, record);
  if (start + length > record.byteLength) return undefined;
  const bytes = Buffer.from(record.buffer, record.byteOffset, record.byteLength);
  return { onwards: bytes.toString('latin1', start), length };
}

/** A location: in its lower half where something is, in the upper how many bytes. */
function locationAt(
  field: Extract<FilterField, { readonly place: string }>,
  record: DataView,
): { start: number; length: number } {
  const base = field.place === 'relative' ? field.offset + 4 : 0;
  return {
    start: base + record.getUint16(field.offset, true),
    length: record.getUint16(field.offset + 2, true),
  };
}

function numberTest(field: FilterField, comparison: Comparison, wanted: bigint): Test {
  const number = numberReader(field);
  // The kernel asks a CPU's number for nothing by bits.
  if (number === undefined || (field.kind === 'cpu' && comparison === '&')) return () => false;
  const { read, cut } = number;
  const other = cut(wanted);
  const compare = COMPARE[comparison];
  return (asked) => compare(read(asked), other);
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

/** Compares a set of CPUs, or a number as the set of that CPU, with another set. */
function cpuSetTest(
  field: FilterField,
  comparison: Comparison,
  wanted: ReadonlySet<number>,
  cpuCount: number,
): Test {
  const has = (cpus: readonly number[]): boolean => {
    if (comparison === '&') return cpus.some((cpu) => wanted.has(cpu));
    const isEqual = cpus.length === wanted.size && cpus.every((cpu) => wanted.has(cpu));
    return isEqual === (comparison === '==');
  };
  if (field.kind === 'cpumask') return ({ record }) => has(cpusAt(field, record, cpuCount));
  const number = numberReader(field);
  if (number === undefined) return () => false;
  return (asked) => {
    const cpu = number.read(asked);
    // One CPU is compared as a number; with more, what is no CPU has no set.
    if (cpu < 0n || cpu >= BigInt(cpuCount)) return wanted.size === 1 && comparison === '!=';
    return has([Number(cpu)]);
  };
}

function cpusAt(
  field: Extract<FilterField, { kind: 'cpumask' }>,
  record: DataView,
  cpuCount: number,
): number[] {
  const { start, length } = locationAt(field, record);
  const end = Math.min(start + Math.min(length, CPUMASK_BYTES_MAX), record.byteLength);
  const cpus: number[] = [];
  for (let cpu = 0; cpu < cpuCount && start + (cpu >> 3) < end; cpu++) {
    if (((record.getUint8(start + (cpu >> 3)) >> (cpu & 7)) & 1) === 1) cpus.push(cpu);
  }
  return cpus;
}

interface NumberReader {
  readonly read: (asked: FilteredRecord) => bigint;
  /** What the field's type keeps of a number. */
  readonly cut: (value: bigint) => bigint;
}

/** @returns undefined for what has no number */
function numberReader(field: FilterField): NumberReader | undefined {
  if (field.kind === 'pid' || field.kind === 'cpu') {
    const which = field.kind === 'pid' ? 'tid' : 'cpu';
    return { read: (asked) => BigInt(asked[which]), cut: (value) => BigInt.asIntN(32, value) };
  }
  if (field.kind === 'cpumask') return numberAt(field.offset, field.size, true);
  return field.kind === 'number' ? numberAt(field.offset, field.size, field.isSigned) : undefined;
}

function numberAt(offset: number, size: number, isSigned: boolean): NumberReader | undefined {
  const read = READ_BY_SIZE.get(size)?.[isSigned ? 'signed' : 'unsigned'];
  if (read === undefined) return undefined;
  return {
    read: ({ record }) => BigInt(read(record, offset)),
    cut: (value) => (isSigned ? BigInt.asIntN(size * 8, value) : BigInt.asUintN(size * 8, value)),
  };
}

type Read = (record: DataView, offset: number) => number | bigint;

const READ_BY_SIZE: ReadonlyMap<number, Readonly<Record<'signed' | 'unsigned', Read>>> = new Map([
  [1, { signed: (record, at) => record.getInt8(at), unsigned: (record, at) => record.getUint8(at) }],
  [
    2,
    {
      signed: (record, at) => record.getInt16(at, true),
      unsigned: (record, at) => record.getUint16(at, true),
    },
  ],
  [
    4,
    {
      signed: (record, at) => record.getInt32(at, true),
      unsigned: (record, at) => record.getUint32(at, true),
    },
  ],
  [
    8,
    {
      signed: (record, at) => record.getBigInt64(at, true),
      unsigned: (record, at) => record.getBigUint64(at, true),
    },
  ],
]);
