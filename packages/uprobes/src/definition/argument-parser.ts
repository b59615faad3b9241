/**
 * Reads one argument of a definition, `NAME=FETCHARG:TYPE`, by the kernel's rules and in its order, so that of
 * several mistakes the same one is told.
 */

import type { RefusalErrno, RefusalName } from './error-texts.ts';
import { type FetchArgument, readsMemory } from './fetch-argument.ts';
import { type FetchExpression, FetchExpressionParser, STEPS_MAX, stepsOf } from './fetch-expression.ts';
import { isGoodName } from './name.ts';
import { parseUnsigned, readUnsigned } from './number.ts';
import type { CommandWords } from './refusal.ts';
import {
  ARRAY_ITEMS_MAX,
  BASIC_TYPES,
  type BasicType,
  type BitField,
  CONTAINERS,
  DEFAULT_TYPE,
  STRING_TYPE,
} from './value-type.ts';

/** Characters of a name (MAX_ARG_NAME_LEN) and of an expression with its type (MAX_ARGSTR_LEN). */
const NAME_CHARACTERS_MAX = 32;
const EXPRESSION_CHARACTERS_MAX = 63;

/** Names that every record has fields of. */
const RESERVED_NAMES: ReadonlySet<string> = new Set(
  'common_type common_flags common_preempt_count common_pid common_tgid __probe_ip __probe_ret_ip __probe_func'.split(
    ' ',
  ),
);

const UINT32_MAX = 0xffff_ffffn;

export class ArgumentParser {
  readonly #words: CommandWords;
  readonly #isReturn: boolean;
  readonly #usedNames = new Set(RESERVED_NAMES);

  /**
   * @param words the command
   * @param isReturn whether it puts a return probe
   */
  constructor(words: CommandWords, isReturn: boolean) {
    this.#words = words;
    this.#isReturn = isReturn;
  }

  /**
   * @param word the number of the argument's word
   * @param ordinal the argument's own number, from 1, after which it is called when it has no name
   * @throws {DefinitionRefusal} at the first rule that it breaks
   */
  parse(word: number, ordinal: number): FetchArgument {
    const text = this.#words.words[word] ?? '';
    const equals = text.indexOf('=');
    const name = equals < 0 ? `arg${ordinal}` : text.slice(0, equals);
    if (equals === 0) this.#words.refuse(word, 0, 'noArgumentName');
    if (equals > NAME_CHARACTERS_MAX) this.#words.refuse(word, 0, 'argumentNameTooLong');
    if (!isGoodName(name)) this.#words.refuse(word, 0, 'badArgumentName');
    if (this.#usedNames.has(name)) this.#words.refuse(word, 0, 'usedArgumentName');
    this.#usedNames.add(name);
    return this.#parseBody(name, word, text, equals + 1);
  }

  #parseBody(name: string, word: number, text: string, start: number): FetchArgument {
    const refuse = (offset: number, rule: RefusalName, errno?: RefusalErrno): never =>
      this.#words.refuse(word, start + offset, rule, errno);
    const body = text.slice(start);
    if (body === '') refuse(0, 'noArgumentBody');
    if (body.length > EXPRESSION_CHARACTERS_MAX) refuse(0, 'argumentTooLong');
    const colon = body.indexOf(':');
    const typeAt = colon + 1;
    const expression = colon < 0 ? body : body.slice(0, colon);
    const array = readArray(colon < 0 ? '' : body.slice(typeAt), (offset, rule) =>
      refuse(typeAt + offset, rule),
    );
    const typeName = colon < 0 ? undefined : array.element;
    const isText = expression === '$comm' || expression === '$COMM' || expression.startsWith('\\"');
    if (isText && (array.count !== undefined || (typeName ?? 'string') !== 'string'))
      refuse(typeAt, 'stringOnly');
    const basic = isText ? STRING_TYPE : basicTypeOf(typeName);
    if (basic === undefined) return refuse(typeAt, 'unknownType');

    const parser = new FetchExpressionParser(this.#isReturn, refuse);
    const read = parser.parse(expression);
    const isBitField = typeName?.startsWith('b') === true;
    const bitField = isBitField ? readBitField(typeName, basic.size * 8) : undefined;
    // A bit field is a step more, and the kernel tells a lack of steps so as well.
    const hasNoStep = isBitField && stepsOf(read) + 1 >= STEPS_MAX;
    if (bitField === 'bad' || hasNoStep) return refuse(parser.offset + typeAt, 'bitField');
    const fits = basic.isText ? canBeText(read) : canBeArray(read);
    if ((basic.isText || array.count !== undefined) && !fits) refuse(parser.offset + typeAt, 'memoryOnly');
    return { name, expression: body, ...read, type: { basic, count: array.count, bitField } };
  }
}

/** Text may be in memory, at an address that is a plain number, or in the definition itself. */
function canBeText({ source, dereferences }: FetchExpression): boolean {
  const isText = source.kind === 'immediate' || source.kind === 'comm' || source.kind === 'text';
  return isText || dereferences.length > 0 || readsMemory(source);
}

/** An array is in memory, and not in memory read with `+u`: the kernel has no such arrays. */
function canBeArray({ source, dereferences }: FetchExpression): boolean {
  const outermost = dereferences.at(-1);
  return outermost === undefined ? readsMemory(source) : !outermost.isUser;
}

/** Takes `TYPE[COUNT]` apart; offsets of what is wrong count from its start. */
function readArray(
  type: string,
  refuse: (offset: number, rule: RefusalName) => never,
): { readonly element: string; readonly count: number | undefined } {
  const open = type.indexOf('[');
  if (open < 0) return { element: type, count: undefined };
  const close = type.indexOf(']', open);
  if (close < 0) return refuse(type.length, 'arrayOpen');
  if (close + 1 < type.length) return refuse(close + 1, 'arraySuffix');
  const count = parseUnsigned(type.slice(open + 1, close));
  if (typeof count !== 'bigint' || count === 0n || count > UINT32_MAX) return refuse(open + 1, 'arraySize');
  if (count > BigInt(ARRAY_ITEMS_MAX)) return refuse(open + 1, 'arrayTooBig');
  return { element: type.slice(0, open), count: Number(count) };
}

function basicTypeOf(name: string | undefined): BasicType | undefined {
  if (name === undefined) return DEFAULT_TYPE;
  if (!name.startsWith('b')) return BASIC_TYPES.get(name);
  const slash = name.indexOf('/');
  const bits = slash < 0 ? 'EINVAL' : parseUnsigned(name.slice(slash + 1));
  return typeof bits === 'bigint' ? CONTAINERS.get(bits) : undefined;
}

/** Reads `bWIDTH@OFFSET/SIZE`, the size of which is known already. */
function readBitField(type: string, containerBits: number): BitField | 'bad' {
  const width = readUnsigned(type.slice(1));
  if (width.value === 0n || !width.rest.startsWith('@')) return 'bad';
  const offset = readUnsigned(width.rest.slice(1));
  if (offset.rest.length === width.rest.length - 1 || !offset.rest.startsWith('/')) return 'bad';
  if (BigInt.asUintN(64, width.value + offset.value) > BigInt(containerBits)) return 'bad';
  return { width: Number(width.value), offset: Number(offset.value) };
}
