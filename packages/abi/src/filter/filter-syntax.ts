/**
 * The language of `events/GROUP/EVENT/filter` (Documentation/trace/events.rst): comparisons of a field with a value, put together with
 * `&&`, `||`, `!` and parentheses, of which `&&` holds closer than `||`.
 *
 *     FIELD == != < <= > >= & NUMBER        FIELD == != ~ "TEXT"        FIELD == != & CPUS{LIST}
 *
 * What is refused, and where the caret stands, is what Linux 6.18 answers (uprobes' kernel-filters.jsonl). Of `.function` no function is
 * known: the kernel looks in itself.
 */

import type { ErrnoName } from '@usertrace/base';
import { parseCpuList } from './cpu-list.ts';
import { type Comparison, type FilterExpression, OpenTerms } from './filter-expression.ts';
import type { FilterField } from './filter-field.ts';
import { type FilterErrorName, FilterRefusal } from './filter-refusal.ts';

/** The longest filter: the kernel takes less than a page. */
export const FILTER_LENGTH_MAX = 4095;

const COMPARISONS = ['==', '!=', '<=', '>=', '<', '>', '&', '~'] as const;
const TEXT_COMPARISONS: ReadonlySet<Comparison> = new Set(['==', '!=', '~']);
const CPU_SET_COMPARISONS: ReadonlySet<Comparison> = new Set(['==', '!=', '&']);
const CPU_SET = 'CPUS';
/** Letters and digits are the kernel's, latin1's among them. */
const WORD = /^[\wÀ-ÖØ-öø-ÿ]+/u;
const NUMBER = /^-?[0-9A-Za-zÀ-ÖØ-öø-ÿ]*/u;
/** The longest text, and the longest number, as they are written. */
const TEXT_LENGTH_MAX = 255;
const NUMBER_LENGTH_MAX = 23;

/**
 * Reads a filter.
 *
 * @param text one character a byte
 * @param fields those it may name; the first of a name counts
 * @param cpuCount of the machine
 * @returns undefined for `0`, which takes a filter away
 * @throws {FilterRefusal} as the kernel answers it
 */
export function parseFilter(
  text: string,
  fields: readonly FilterField[],
  cpuCount: number,
): FilterExpression | undefined {
  const filter = text.replace(/\s+$/u, '');
  if (filter.trimStart() === '0') return undefined;
  return new FilterParser(filter, fields, cpuCount).parse();
}

class FilterParser {
  readonly #filter: string;
  readonly #fields: readonly FilterField[];
  readonly #cpuCount: number;
  #at = 0;

  constructor(filter: string, fields: readonly FilterField[], cpuCount: number) {
    this.#filter = filter;
    this.#fields = fields;
    this.#cpuCount = cpuCount;
  }

  parse(): FilterExpression {
    if (this.#filter.length > FILTER_LENGTH_MAX) throw new FilterRefusal(this.#filter, 'EINVAL');
    this.#checkPairs();
    if (/^[()\s]*$/u.test(this.#filter)) throw new FilterRefusal(this.#filter, 'EINVAL');
    if (/^[!\s]*$/u.test(this.#filter)) this.#refuseAt('noFilter', this.#filter.length);
    return this.#expression();
  }

  /** Whether each parenthesis and each quote has its other. Told before anything else. */
  #checkPairs(): void {
    const open: number[] = [];
    for (let at = 0; at < this.#filter.length; at++) {
      const character = this.#filter[at] as string;
      if (character === '(') open.push(at);
      else if (character === ')' && open.pop() === undefined) this.#refuseExactly('EPERM', 'tooFewOpen', at);
      else if (character === '"' || character === "'") {
        const end = this.#filter.indexOf(character, at + 1);
        if (end < 0) this.#refuseExactly('ESRCH', 'missingQuote', at);
        at = end;
      }
    }
    const last = open.at(-1);
    if (last !== undefined) this.#refuseExactly('ENOENT', 'tooManyOpen', last);
  }

  /** Reads without recursion: a filter may have thousands of parentheses. An operator with nothing behind it counts for nothing. */
  #expression(): FilterExpression {
    const outer: OpenTerms[] = [];
    let open = new OpenTerms(false);
    while (this.#at < this.#filter.length) {
      const isNegated = this.#negations();
      if (this.#at === this.#filter.length) break;
      if (this.#filter[this.#at] === '(') {
        this.#at += 1;
        outer.push(open);
        open = new OpenTerms(isNegated);
        continue;
      }
      open.add(this.#comparison(), isNegated);
      this.#skipSpaces();
      // checkPairs() has seen that each closes one that is open.
      for (let enclosing; this.#filter[this.#at] === ')' && (enclosing = outer.pop()) !== undefined; ) {
        this.#at += 1;
        enclosing.add(open.close() ?? this.#tooManyTerms(), open.isNegated);
        open = enclosing;
        this.#skipSpaces();
      }
      if (this.#filter.startsWith('||', this.#at)) open.beginOther();
      else if (!this.#filter.startsWith('&&', this.#at)) break;
      this.#at += '||'.length;
    }
    const expression = open.close();
    if (expression === undefined || this.#at < this.#filter.length) this.#tooManyTerms();
    return expression;
  }

  /** Takes exclamation marks and the spaces about them. */
  #negations(): boolean {
    let isNegated = false;
    for (this.#skipSpaces(); this.#filter[this.#at] === '!'; this.#skipSpaces()) {
      isNegated = !isNegated;
      this.#at += 1;
    }
    return isNegated;
  }

  #comparison(): FilterExpression {
    const name = WORD.exec(this.#filter.slice(this.#at))?.[0];
    if (name === undefined) throw new FilterRefusal(this.#filter, 'EPERM');
    this.#at += name.length;
    const field = this.#fields.find((one) => one.name === name);
    if (field === undefined) return this.#refuse('fieldNotFound');
    // Text of user memory, which all of ours is.
    this.#take('.ustring');
    const isFunction = this.#take('.function');
    this.#skipSpaces();
    const comparison = COMPARISONS.find((one) => this.#filter.startsWith(one, this.#at));
    if (comparison === undefined) return this.#refuse('invalidOperator');
    this.#at += comparison.length;
    this.#skipSpaces();
    if (isFunction) return this.#functionValue(field, comparison);
    return { kind: 'compare', field, comparison, value: this.#value(field, comparison) };
  }

  #value(field: FilterField, comparison: Comparison): bigint | string | ReadonlySet<number> {
    if (this.#filter.startsWith(CPU_SET, this.#at)) return this.#cpuSet(field, comparison);
    const isText = field.kind === 'text' || field.kind === 'comm';
    const first = this.#filter[this.#at] ?? '';
    if (first === '"' || first === "'") {
      if (!TEXT_COMPARISONS.has(comparison)) return this.#refuse('illegalOperation');
      if (!isText) return this.#refuse('expectingNumber');
      return this.#text(first);
    }
    if (!/[0-9-]/u.test(first)) return this.#refuse('invalidValue');
    if (isText) return this.#refuse('expectingString');
    if (comparison === '~') return this.#refuse('illegalOperation');
    return this.#number(field.kind === 'number' ? field.isSigned : field.kind !== 'stack');
  }

  #cpuSet(field: FilterField, comparison: Comparison): ReadonlySet<number> {
    const mayBe = field.kind !== 'text' && field.kind !== 'comm' && field.kind !== 'stack';
    if (!mayBe || !CPU_SET_COMPARISONS.has(comparison)) return this.#refuse('illegalOperation');
    this.#at += CPU_SET.length;
    const brace = this.#filter[this.#at];
    this.#at += 1;
    if (brace !== '{') return this.#refuse('missingBraceOpen');
    const end = this.#filter.indexOf('}', this.#at);
    if (end < 0) {
      this.#at = this.#filter.length;
      return this.#refuse('missingBraceClose');
    }
    const list = this.#filter.slice(this.#at, end);
    const cpus = parseCpuList(list, this.#cpuCount);
    this.#at = end;
    if (list === '' || cpus === undefined) return this.#refuse('invalidCpuList');
    this.#at += 1;
    return cpus;
  }

  #text(quote: string): string {
    const end = this.#filter.indexOf(quote, this.#at + 1);
    const text = this.#filter.slice(this.#at + 1, end);
    if (text.length > TEXT_LENGTH_MAX) {
      this.#at = end;
      return this.#refuse('operandTooLong');
    }
    this.#at = end + 1;
    return text;
  }

  #number(isSigned: boolean): bigint {
    const written = NUMBER.exec(this.#filter.slice(this.#at))?.[0] ?? '';
    if (written.length > NUMBER_LENGTH_MAX) {
      this.#at += written.length;
      return this.#refuse('operandTooLong');
    }
    const value = numberOf(written, isSigned);
    if (value === undefined) return this.#refuse('illegalInteger');
    this.#at += written.length;
    return value;
  }

  /** There are no functions that we could know; what the kernel would say before it looks is said. */
  #functionValue(field: FilterField, comparison: Comparison): never {
    const size = field.kind === 'number' || field.kind === 'text' ? field.size : 0;
    if (size !== 8) return this.#refuse('illegalOperation');
    if (comparison !== '==' && comparison !== '!=') return this.#refuse('invalidOperator');
    this.#at += /^\S*/u.exec(this.#filter.slice(this.#at))?.[0].length ?? 0;
    return this.#refuse('functionNotFound');
  }

  #take(word: string): boolean {
    if (!this.#filter.startsWith(word, this.#at)) return false;
    this.#at += word.length;
    return true;
  }

  #skipSpaces(): void {
    while (/\s/u.test(this.#filter[this.#at] ?? '')) this.#at += 1;
  }

  #tooManyTerms(): never {
    if (this.#filter[this.#at] === ')') throw new FilterRefusal(this.#filter, 'EPERM');
    return this.#refuseExactly('EPERM', 'tooManyTerms', this.#at);
  }

  /** Within a comparison the caret stands one character further than where it went wrong, as far as there is one. */
  #refuse(name: FilterErrorName): never {
    return this.#refuseAt(name, Math.min(this.#at + 1, this.#filter.length));
  }

  #refuseAt(name: FilterErrorName, position: number): never {
    throw new FilterRefusal(this.#filter, 'EINVAL', { name, position });
  }

  #refuseExactly(errno: ErrnoName, name: FilterErrorName, position: number): never {
    throw new FilterRefusal(this.#filter, errno, { name, position });
  }
}

/** A number as C writes it, with a leading 0 for octal; undefined when it is none, or has more than 64 bits. */
function numberOf(written: string, isSigned: boolean): bigint | undefined {
  const isNegative = written.startsWith('-');
  const digits = isNegative ? written.slice(1) : written;
  const isHex = /^0x[0-9a-f]+$/iu.test(digits);
  const isOctal = /^0[0-7]*$/u.test(digits);
  if (!isHex && !isOctal && !/^[1-9][0-9]*$/u.test(digits)) return undefined;
  const value = isHex ? BigInt(digits) : BigInt(isOctal && digits !== '0' ? `0o${digits.slice(1)}` : digits);
  if (!isSigned) return isNegative || value >= 2n ** 64n ? undefined : value;
  const signed = isNegative ? -value : value;
  return signed === BigInt.asIntN(64, signed) ? signed : undefined;
}
