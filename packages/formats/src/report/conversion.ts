/**
 * printf(3)'s conversions as trace-cmd 3.1.6 prints them. It takes every number as 64 unsigned bits and then cuts it
 * to what the conversion says, so a negative number of 8 or 16 bits prints as a positive one. A conversion it does
 * not know prints as `>c<` and takes no argument.
 */

/** A part of a format text. */
export type FormatPart =
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'conversion'; readonly conversion: Conversion };

/** A conversion. `'*'` takes the width from an argument. */
export interface Conversion {
  readonly isLeft: boolean;
  readonly isZeroed: boolean;
  readonly isAlternate: boolean;
  readonly width: number | '*';
  readonly precision: number | undefined;
  /** Bits of the number. */
  readonly bits: 8 | 16 | 32 | 64;
  readonly type: 'd' | 'u' | 'x' | 'X' | 'o' | 's' | 'p';
}

/** `%ps` and the like name a kernel symbol; without symbols they print as the address. */
const SYMBOL_SUFFIX = /[sSfFBx]/;
/** Of widths and precisions, in characters. */
export const WIDTH_MAX = 1024;
const CONVERSION =
  /^(?<flags>[-0#]*)(?<width>\*|\d*)(?:\.(?<precision>\d*))?(?<length>hh|h|ll|l|L|z|j)?(?<type>.)/s;

/** Takes a format text apart. @returns undefined for a pointer that prints as more than a number */
export function parseFormatText(format: string): FormatPart[] | undefined {
  const parts: FormatPart[] = [];
  let literal = '';
  for (let index = 0; index < format.length; index++) {
    const character = format.charAt(index);
    if (character !== '%') {
      literal += character;
      continue;
    }
    const rest = format.slice(index + 1);
    if (rest.startsWith('%')) {
      literal += '%';
      index += 1;
      continue;
    }
    const match = CONVERSION.exec(rest);
    const groups = match?.groups;
    if (match === null || groups === undefined) return undefined;
    const conversion = conversionOf(groups);
    if (conversion === undefined) literal += `>${groups['type']}<`;
    else {
      const behind = rest.charAt(match[0].length);
      if (conversion.type === 'p' && SYMBOL_SUFFIX.test(behind)) index += 1;
      else if (conversion.type === 'p' && /[A-Za-z]/.test(behind)) return undefined;
      if (literal !== '') parts.push({ kind: 'literal', text: literal });
      literal = '';
      parts.push({ kind: 'conversion', conversion });
    }
    index += match[0].length;
  }
  if (literal !== '') parts.push({ kind: 'literal', text: literal });
  return parts;
}

/** Prints a number. */
export function printNumber(conversion: Conversion, value: number | bigint, width: number): string {
  const { type, bits } = conversion;
  const signed = type === 'd';
  const cut = cutTo(value, type === 'p' ? 64 : bits, signed);
  const isNegative = cut < 0;
  let digits = (isNegative ? -cut : cut).toString(type === 'o' ? 8 : type === 'd' || type === 'u' ? 10 : 16);
  if (type === 'X') digits = digits.toUpperCase();
  const { precision } = conversion;
  if (precision !== undefined) digits = digits.padStart(precision, '0');
  const isPrefixed =
    type === 'p' || (conversion.isAlternate && (type === 'x' || type === 'X') && digits !== '0');
  const prefix = isNegative ? '-' : isPrefixed ? (type === 'X' ? '0X' : '0x') : '';
  if (conversion.isZeroed && !conversion.isLeft && precision === undefined) {
    return prefix + digits.padStart(width - prefix.length, '0');
  }
  return pad(prefix + digits, width, conversion.isLeft);
}

/** Prints a text. */
export function printText({ precision, isLeft }: Conversion, text: string, width: number): string {
  return pad(precision === undefined ? text : text.slice(0, precision), width, isLeft);
}

function conversionOf(groups: Record<string, string | undefined>): Conversion | undefined {
  const { flags = '', width = '', precision, length, type = '' } = groups;
  const known = type === 'i' ? 'd' : type;
  if (!['d', 'u', 'x', 'X', 'o', 's', 'p'].includes(known)) return undefined;
  return {
    isLeft: flags.includes('-'),
    isZeroed: flags.includes('0'),
    isAlternate: flags.includes('#'),
    width: width === '*' ? '*' : Math.min(Number(width), WIDTH_MAX),
    precision: precision === undefined ? undefined : Math.min(Number(precision), WIDTH_MAX),
    bits: length === undefined ? 32 : length === 'h' ? 16 : length === 'hh' ? 8 : 64,
    type: known as Conversion['type'],
  };
}

/** A number cut to some bits. Numbers below 2^31 need no BigInt, and most are. */
function cutTo(value: number | bigint, bits: number, isSigned: boolean): number | bigint {
  if (typeof value === 'number' && value >= 0 && value < 2 ** 31) {
    if (bits >= 32) return value;
    const low = value & (2 ** bits - 1);
    return isSigned && low >= 2 ** (bits - 1) ? low - 2 ** bits : low;
  }
  return isSigned ? BigInt.asIntN(bits, BigInt(value)) : BigInt.asUintN(bits, BigInt(value));
}

function pad(text: string, width: number, isLeft: boolean): string {
  return isLeft ? text.padEnd(width) : text.padStart(width);
}
