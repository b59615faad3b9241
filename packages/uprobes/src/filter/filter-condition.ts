/**
 * The part of a filter that a trampoline can decide by itself: comparisons of arguments that are in registers, so that a hit which is
 * not wanted costs neither a slot nor the reader's time. What this lets through is looked at by the filter itself (EventFilter):
 * the code may let too much through, never too little.
 */

import type { Comparison, FilterExpression } from '@usertrace/abi';
import { type FetchArgument, type FetchSource, memoryOffsets } from '../definition/fetch-argument.ts';
import type { ValueType } from '../definition/value-type.ts';
import type { MachineCode } from '../trampoline/machine-code.ts';
import type { TrampolineCondition } from '../trampoline/trampoline.ts';
import { typedNumber } from '../record/typed-value.ts';
import { argumentOf } from './filter-field.ts';

/** More terms would make the trampoline long; the reader looks at them. */
const TERMS_MAX = 32;

/** Conditions of jcc (Intel SDM volume 2), for signed and for other numbers. */
const JUMPS: Readonly<
  Record<Exclude<Comparison, '~'>, { readonly signed: number; readonly unsigned: number }>
> = {
  '==': { signed: 4, unsigned: 4 },
  '!=': { signed: 5, unsigned: 5 },
  '<': { signed: 12, unsigned: 2 },
  '<=': { signed: 14, unsigned: 6 },
  '>': { signed: 15, unsigned: 7 },
  '>=': { signed: 13, unsigned: 3 },
  // After `test`: any bit is common.
  '&': { signed: 5, unsigned: 5 },
};

/** A part of a filter that needs registers only. */
type RegisterExpression =
  | { readonly kind: 'all' | 'any'; readonly terms: readonly RegisterExpression[] }
  | { readonly kind: 'not'; readonly term: RegisterExpression }
  | {
      readonly kind: 'compare';
      readonly argument: FetchArgument;
      readonly comparison: Exclude<Comparison, '~'>;
      readonly value: bigint;
    };

/**
 * The condition for a trampoline.
 *
 * @param expression of the filter
 * @returns undefined when no part of it can be decided there
 */
export function filterCondition(expression: FilterExpression): TrampolineCondition | undefined {
  const parts = expression.kind === 'all' ? expression.terms : [expression];
  const decided = parts.flatMap((part) => registerExpression(part) ?? []);
  if (decided.length === 0 || decided.reduce((sum, part) => sum + termCount(part), 0) > TERMS_MAX)
    return undefined;
  return {
    append: (code, load, reject, prefix) => {
      const accept = `${prefix}accept`;
      new ConditionMaker(code, load, prefix).append({ kind: 'all', terms: decided }, accept, reject);
      code.label(accept);
    },
  };
}

/** @returns undefined when some of it needs more than registers */
function registerExpression(expression: FilterExpression): RegisterExpression | undefined {
  if (expression.kind === 'compare') {
    const { field, comparison, value } = expression;
    const argument = argumentOf(field);
    if (argument === undefined || comparison === '~' || typeof value !== 'bigint') return undefined;
    return isInRegister(argument) ? { kind: 'compare', argument, comparison, value } : undefined;
  }
  if (expression.kind === 'not') {
    const term = registerExpression(expression.term);
    return term === undefined ? undefined : { kind: 'not', term };
  }
  const terms = expression.terms.flatMap((term) => registerExpression(term) ?? []);
  return terms.length === expression.terms.length ? { kind: expression.kind, terms } : undefined;
}

function isInRegister(argument: FetchArgument): boolean {
  const { source, type } = argument;
  const isKnown =
    source.kind === 'register' ||
    source.kind === 'return-value' ||
    source.kind === 'immediate' ||
    source.kind === 'stack-pointer';
  return isKnown && type.count === undefined && memoryOffsets(argument).length === 0;
}

function termCount(expression: RegisterExpression): number {
  if (expression.kind === 'compare') return 1;
  if (expression.kind === 'not') return termCount(expression.term);
  return expression.terms.reduce((sum, term) => sum + termCount(term), 0);
}

class ConditionMaker {
  readonly #code: MachineCode;
  readonly #load: (source: FetchSource) => void;
  readonly #prefix: string;
  #labels = 0;

  constructor(code: MachineCode, load: (source: FetchSource) => void, prefix: string) {
    this.#code = code;
    this.#load = load;
    this.#prefix = prefix;
  }

  /** Appends code that jumps to one of two labels. */
  append(expression: RegisterExpression, whenTrue: string, whenFalse: string): void {
    switch (expression.kind) {
      case 'not':
        this.append(expression.term, whenFalse, whenTrue);
        return;
      case 'compare':
        this.#compare(expression.argument, expression.comparison, expression.value);
        this.#code.jumpIf(jumpOf(expression.argument.type, expression.comparison), whenTrue).jump(whenFalse);
        return;
      case 'all':
      case 'any':
        this.#series(expression, whenTrue, whenFalse);
    }
  }

  #series(
    { kind, terms }: Extract<RegisterExpression, { kind: 'all' | 'any' }>,
    whenTrue: string,
    whenFalse: string,
  ): void {
    for (const term of terms.slice(0, -1)) {
      const next = `${this.#prefix}${this.#labels++}`;
      if (kind === 'all') this.append(term, next, whenFalse);
      else this.append(term, whenTrue, next);
      this.#code.label(next);
    }
    for (const term of terms.slice(-1)) this.append(term, whenTrue, whenFalse);
  }

  #compare({ source, type }: FetchArgument, comparison: Comparison, value: bigint): void {
    const code = this.#code;
    this.#load(source);
    this.#cut(type);
    // Both have 64 bits now, and the same sign in them.
    code.constant('rcx', cutTo(type, value));
    code.registers(comparison === '&' ? [0x85] : [0x39], 'rax', 'rcx'); // test or cmp
  }

  /** Has rax hold what the argument's type keeps, in 64 bits. */
  #cut({ basic, bitField }: ValueType): void {
    const width = bitField?.width ?? basic.size * 8;
    const above = 64 - width - (bitField?.offset ?? 0);
    // shl, then sar or shr
    if (above > 0) this.#code.registerByte(0xc1, 4, 'rax', above);
    if (width < 64) this.#code.registerByte(0xc1, basic.isSigned ? 7 : 5, 'rax', 64 - width);
  }
}

/** A filter's number is cut to the field's size, not to its bits. */
function cutTo(type: ValueType, value: bigint): bigint {
  return typedNumber(value, { ...type, bitField: undefined });
}

function jumpOf({ basic }: ValueType, comparison: Exclude<Comparison, '~'>): number {
  const { signed, unsigned } = JUMPS[comparison];
  return basic.isSigned ? signed : unsigned;
}
