/**
 * Reads the expression of a fetch argument, without its type: `+8(+0(%di))`. A FetchExpressionParser reads one;
 * it keeps the kernel's idea of where in the argument it is, since that is where the caret goes.
 */

import {
  type Dereference,
  type FetchSource,
  readsMemory,
  REGISTERS,
  type RegisterName,
} from './fetch-argument.ts';
import type { RefusalErrno, RefusalName } from './error-texts.ts';
import { startsLikeName } from './name.ts';
import { type NumberOrErrno, parseSigned, parseUnsigned } from './number.ts';

/** Steps that the kernel keeps of one argument, an end mark among them (FETCH_INSN_MAX). */
export const STEPS_MAX = 16;

/** The last `$argN` that the kernel takes for a number at all. */
const ARGUMENT_NUMBER_MAX = 2048n;

/** What an expression says. */
export interface FetchExpression {
  readonly source: FetchSource;
  readonly dereferences: readonly Dereference[];
}

/** How many of the kernel's steps an expression takes: its source, and one for each look at memory. */
export function stepsOf({ source, dereferences }: FetchExpression): number {
  return 1 + Number(readsMemory(source)) + dereferences.length;
}

/** Refuses the argument at a character counted from its expression's start. */
export type RefuseAt = (offset: number, rule: RefusalName, errno?: RefusalErrno) => never;

type Reader = (parser: FetchExpressionParser, text: string) => FetchSource;

/** What an expression may begin with. What begins otherwise is a dereference, a C name, or wrong. */
const READERS: ReadonlyMap<string, Reader> = new Map<string, Reader>([
  ['%', (parser, text) => parser.register(text)],
  ['$', (parser, text) => parser.variable(text)],
  ['@', (parser, text) => parser.memory(text)],
  ['\\', (parser, text) => parser.immediate(text)],
]);

/** `$` words that are the same wherever the probe is. */
const VARIABLES: ReadonlyMap<string, FetchSource> = new Map([
  ['$stack', { kind: 'stack-pointer' }],
  ['$comm', { kind: 'comm' }],
  ['$COMM', { kind: 'comm' }],
]);

export class FetchExpressionParser {
  readonly #refuse: RefuseAt;
  readonly #isReturn: boolean;
  readonly #dereferences: Dereference[] = [];
  #offset = 0;

  /**
   * @param isReturn whether the probe is at a function's return, where there is a return value
   * @param refuse called for what is wrong
   */
  constructor(isReturn: boolean, refuse: RefuseAt) {
    this.#isReturn = isReturn;
    this.#refuse = refuse;
  }

  /** Where the kernel believes to be when it has read the expression: behind the outermost `+OFFS(`. */
  get offset(): number {
    return this.#offset;
  }

  parse(text: string): FetchExpression {
    const source = this.#read(text);
    return { source, dereferences: this.#dereferences };
  }

  #read(text: string): FetchSource {
    const first = text.slice(0, 1);
    const reader = READERS.get(first);
    if (reader !== undefined) return reader(this, text);
    if (first === '+' || first === '-') return this.#dereference(text);
    if (startsLikeName(text)) return this.#fail('noTypeInformation');
    return first === '(' ? this.#fail('noTypeInformation', 'EOPNOTSUPP') : this.#fail('fetchArgument');
  }

  #fail(rule: RefusalName, errno?: RefusalErrno): never {
    return this.#refuse(this.#offset, rule, errno);
  }

  #number(value: NumberOrErrno, rule: RefusalName, shift = 0): bigint {
    return typeof value === 'bigint' ? value : this.#refuse(this.#offset + shift, rule, value);
  }

  #ordinal(text: string): bigint {
    const value = parseUnsigned(text, 10);
    return typeof value === 'bigint' ? value : this.#fail('variable');
  }

  register(text: string): FetchSource {
    const register = text.slice(1) as RegisterName;
    return REGISTERS.includes(register) ? { kind: 'register', register } : this.#fail('register');
  }

  variable(text: string): FetchSource {
    const variable = VARIABLES.get(text);
    if (variable !== undefined) return variable;
    if (text.startsWith('$retval')) {
      return this.#isReturn ? { kind: 'return-value' } : this.#fail('returnValueOnProbe');
    }
    if (/^\$stack[0-9]/.test(text)) {
      return { kind: 'stack', index: this.#ordinal(text.slice('$stack'.length)) };
    }
    if (!text.startsWith('$arg')) return this.#fail('variable');
    const number = this.#ordinal(text.slice('$arg'.length));
    const isNone = number === 0n || number > ARGUMENT_NUMBER_MAX;
    return this.#fail(isNone ? 'argumentNumber' : 'argumentsOnlyAtEntry');
  }

  memory(text: string): FetchSource {
    if (/^@[0-9]/.test(text)) {
      return { kind: 'address', address: this.#number(parseUnsigned(text.slice(1)), 'memoryAddress') };
    }
    if (!text.startsWith('@+')) return this.#fail('symbolAddress');
    return { kind: 'file-offset', offset: this.#number(parseSigned(text.slice(2)), 'fileOffset') };
  }

  immediate(text: string): FetchSource {
    if (text.startsWith('\\"')) {
      const quoted = text.slice(2);
      if (!quoted.endsWith('"')) this.#refuse(this.#offset + text.length, 'stringOpen');
      return { kind: 'text', text: quoted.slice(0, -1) };
    }
    const number = text.slice(1);
    const first = number.slice(0, 1);
    if (/[0-9]/.test(first))
      return { kind: 'immediate', value: this.#number(parseUnsigned(number), 'immediate', 1) };
    if (first !== '-' && first !== '+') return this.#refuse(this.#offset + 1, 'immediate');
    const signed = parseSigned(first === '+' ? number.slice(1) : number);
    return { kind: 'immediate', value: this.#number(signed, 'immediate', 1) };
  }

  #dereference(text: string): FetchSource {
    const isUser = text[1] === 'u';
    // `+` is a mark, `-` is the number's sign as well.
    const number = (text.startsWith('-') ? '-' : '') + text.slice(isUser ? 2 : 1);
    const brace = number.indexOf('(');
    if (brace < 0) return this.#fail('dereferenceBrace');
    const offset = this.#number(parseSigned(number.slice(0, brace)), 'dereferenceOffset');
    this.#offset += brace + 1 + (number.startsWith('-') ? 0 : 1);
    const ownOffset = this.#offset;
    const inside = number.slice(brace + 1);
    const closing = inside.lastIndexOf(')');
    if (closing < 0) return this.#refuse(this.#offset + inside.length, 'dereferenceOpen');
    const source = this.#read(inside.slice(0, closing));
    this.#offset = ownOffset;
    if (source.kind === 'comm' || source.kind === 'text') return this.#fail('nameDereferenced');
    this.#dereferences.push({ offset, isUser });
    if (stepsOf({ source, dereferences: this.#dereferences }) >= STEPS_MAX) this.#fail('tooManyDereferences');
    return source;
  }
}
