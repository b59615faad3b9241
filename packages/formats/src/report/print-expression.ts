/**
 * The arguments of a `print fmt`: C expressions over the event's fields, and the kernel's helpers for them. They are
 * parsed once into objects that each entry is given to.
 */

import type { EventFormat } from './event-format.ts';
import {
  type Expression,
  flagsText,
  type NamedValue,
  NO_ENTRY,
  ofChoice,
  ofComputedText,
  ofField,
  ofNumber,
  ofText,
  symbolicText,
} from './expression.ts';
import { calculate, calculateUnary, hexBytes } from './print-arithmetic.ts';
import type { PrintToken } from './print-tokens.ts';

/** Thrown inside of this file when an expression is not understood. */
class NotUnderstood extends Error {}

const DEPTH_MAX = 64;
const BINARY: readonly (readonly string[])[] = [
  ['||'],
  ['&&'],
  ['|'],
  ['^'],
  ['&'],
  ['==', '!='],
  ['<', '<=', '>', '>='],
  ['<<', '>>'],
  ['+', '-'],
  ['*', '/', '%'],
];
const TYPE_WORD =
  /^(?:unsigned|signed|const|volatile|struct|void|int|long|short|char|bool|size_t|pid_t|gfp_t|dev_t|ino_t|loff_t|(?:__)?[us](?:8|16|32|64)|u?int(?:8|16|32|64)_t)$/;

/**
 * Parses the arguments behind a format text.
 *
 * @param tokens from the first comma on
 * @param format the event's
 * @returns undefined when one is not understood
 */
export function parseArguments(tokens: readonly PrintToken[], format: EventFormat): Expression[] | undefined {
  try {
    return new ExpressionParser(tokens, format).argumentList();
  } catch (error) {
    if (error instanceof NotUnderstood) return undefined;
    throw error;
  }
}

class ExpressionParser {
  readonly #tokens: readonly PrintToken[];
  readonly #format: EventFormat;
  #index = 0;
  #depth = 0;

  constructor(tokens: readonly PrintToken[], format: EventFormat) {
    this.#tokens = tokens;
    this.#format = format;
  }

  argumentList(): Expression[] {
    const list: Expression[] = [];
    while (this.#index < this.#tokens.length) {
      this.#expect(',');
      list.push(this.#expression());
    }
    return list;
  }

  #expression(): Expression {
    if (++this.#depth > DEPTH_MAX) throw new NotUnderstood();
    const condition = this.#binary(0);
    let result = condition;
    if (this.#take('?')) {
      const yes = this.#expression();
      this.#expect(':');
      const no = this.#expression();
      result = ofChoice(condition, yes, no);
    }
    this.#depth -= 1;
    return result;
  }

  #binary(level: number): Expression {
    const signs = BINARY[level];
    if (signs === undefined) return this.#unary();
    let left = this.#binary(level + 1);
    for (;;) {
      const sign = signs.find((candidate) => this.#take(candidate));
      if (sign === undefined) return left;
      const [a, b] = [left, this.#binary(level + 1)];
      left = ofNumber((entry) => calculate(sign, BigInt(a.number(entry)), BigInt(b.number(entry))));
    }
  }

  #unary(): Expression {
    if (++this.#depth > DEPTH_MAX) throw new NotUnderstood();
    const sign = ['-', '!', '~', '+'].find((candidate) => this.#take(candidate));
    let result: Expression;
    if (sign !== undefined) {
      const operand = this.#unary();
      result = ofNumber((entry) => calculateUnary(sign, BigInt(operand.number(entry))));
    } else if (this.#takeCast()) result = this.#unary();
    else result = this.#primary();
    this.#depth -= 1;
    return result;
  }

  #primary(): Expression {
    const token = this.#tokens[this.#index++];
    if (token === undefined) throw new NotUnderstood();
    if (token.kind === 'number') {
      const octal = /^0\d+$/.test(token.text);
      const value = BigInt(octal ? `0o${token.text.slice(1)}` : token.text);
      return ofNumber(() => value);
    }
    if (token.kind === 'text') return ofText(this.#moreText(token.text));
    if (token.kind === 'name') return this.#named(token.text);
    if (token.text !== '(') throw new NotUnderstood();
    const inner = this.#expression();
    this.#expect(')');
    return inner;
  }

  #named(name: string): Expression {
    if (name === 'REC') {
      this.#expect('->');
      return this.#field(this.#name());
    }
    if (!this.#take('(')) throw new NotUnderstood();
    const result = this.#call(name);
    this.#expect(')');
    return result;
  }

  #call(name: string): Expression {
    switch (name) {
      case '__get_str':
      case '__get_rel_str':
      case '__get_dynamic_array':
      case '__get_rel_dynamic_array':
        return this.#field(this.#name());
      case '__get_dynamic_array_len':
      case '__get_rel_dynamic_array_len': {
        const array = this.#field(this.#name());
        return ofNumber((entry) => array.bytes(entry).length);
      }
      case '__print_symbolic':
        return this.#symbolic();
      case '__print_flags':
        return this.#flags();
      case '__print_hex':
      case '__print_hex_str': {
        const [array, length] = this.#pair();
        const between = name === '__print_hex' ? ' ' : '';
        return ofComputedText((entry) =>
          hexBytes(array.bytes(entry).subarray(0, Number(length.number(entry))), between),
        );
      }
      default:
        throw new NotUnderstood();
    }
  }

  #symbolic(): Expression {
    const value = this.#expression();
    const names = this.#names();
    return ofComputedText((entry) => symbolicText(BigInt(value.number(entry)), names));
  }

  #flags(): Expression {
    const value = this.#expression();
    this.#expect(',');
    const delimiter = this.#text();
    const names = this.#names();
    return ofComputedText((entry) => flagsText(BigInt(value.number(entry)), names, delimiter));
  }

  #names(): NamedValue[] {
    const names: NamedValue[] = [];
    while (this.#take(',')) {
      this.#expect('{');
      const value = BigInt(this.#expression().number(NO_ENTRY));
      this.#expect(',');
      names.push([BigInt.asUintN(64, value), this.#text()]);
      this.#expect('}');
    }
    return names;
  }

  #pair(): [Expression, Expression] {
    const first = this.#expression();
    this.#expect(',');
    return [first, this.#expression()];
  }

  #field(name: string): Expression {
    const { fields, commonFields } = this.#format;
    const field =
      fields.find((known) => known.name === name) ?? commonFields.find((known) => known.name === name);
    if (field === undefined) return ofNumber(() => 0);
    return ofField(field);
  }

  #name(): string {
    const token = this.#tokens[this.#index++];
    if (token?.kind !== 'name') throw new NotUnderstood();
    return token.text;
  }

  #text(): string {
    const token = this.#tokens[this.#index++];
    if (token?.kind !== 'text') throw new NotUnderstood();
    return this.#moreText(token.text);
  }

  #moreText(first: string): string {
    let text = first;
    for (let token = this.#tokens[this.#index]; token?.kind === 'text'; token = this.#tokens[this.#index]) {
      text += token.text;
      this.#index += 1;
    }
    return text;
  }

  /** A cast changes nothing: trace-cmd keeps the number as it is. */
  #takeCast(): boolean {
    let index = this.#index;
    const at = (): PrintToken | undefined => this.#tokens[index];
    if (at()?.text !== '(' || at()?.kind !== 'sign') return false;
    index += 1;
    const first = at();
    if (first?.kind !== 'name' || !TYPE_WORD.test(first.text)) return false;
    while (at()?.kind === 'name' || (at()?.kind === 'sign' && at()?.text === '*')) index += 1;
    if (at()?.text !== ')') return false;
    this.#index = index + 1;
    return true;
  }

  #take(sign: string): boolean {
    const token = this.#tokens[this.#index];
    if (token?.kind !== 'sign' || token.text !== sign) return false;
    this.#index += 1;
    return true;
  }

  #expect(sign: string): void {
    if (!this.#take(sign)) throw new NotUnderstood();
  }
}
