/** How the kernel reads 64-bit numbers in definitions (lib/kstrtox.c's documented behaviour). */

/** A number, or the errno of a text that is none. */
export type NumberOrErrno = bigint | 'EINVAL' | 'ERANGE';

const UNSIGNED_MAX = (1n << 64n) - 1n;
const SIGNED_MAX = (1n << 63n) - 1n;

/** The digits of each base, by the base. */
const DIGITS: Readonly<Record<8 | 10 | 16, RegExp>> = { 8: /^[0-7]*/, 10: /^[0-9]*/, 16: /^[0-9a-f]*/i };
const PREFIX: Readonly<Record<8 | 10 | 16, string>> = { 8: '0o', 10: '', 16: '0x' };

interface Digits {
  readonly value: bigint;
  /** What follows the digits. */
  readonly rest: string;
  readonly isEmpty: boolean;
}

/** Reads the digits at a text's start; base 0 takes the base from the prefix: `0x` and a hex digit, `0`, or ten. */
function leadingDigits(text: string, base: 0 | 10): Digits {
  const isHex = base === 0 && /^0x[0-9a-f]/i.test(text);
  const radix = isHex ? 16 : base === 0 && text.startsWith('0') ? 8 : 10;
  const body = isHex ? text.slice(2) : text;
  const digits = DIGITS[radix].exec(body)?.[0] ?? '';
  const value = digits === '' ? 0n : BigInt(PREFIX[radix] + digits);
  return { value, rest: body.slice(digits.length), isEmpty: digits === '' };
}

function magnitude(text: string, base: 0 | 10): NumberOrErrno {
  const { value, rest, isEmpty } = leadingDigits(text, base);
  if (isEmpty) return 'EINVAL';
  if (value > UNSIGNED_MAX) return 'ERANGE';
  return rest === '' ? value : 'EINVAL';
}

/**
 * Reads an unsigned number: one leading `+` is fine, a `-` is not.
 *
 * @param text the whole text
 * @param base 10, or 0 to take it from the prefix
 */
export function parseUnsigned(text: string, base: 0 | 10 = 0): NumberOrErrno {
  return magnitude(text.startsWith('+') ? text.slice(1) : text, base);
}

/**
 * Reads a signed number: one leading `+` or `-`.
 *
 * @param text the whole text
 */
export function parseSigned(text: string): NumberOrErrno {
  if (!text.startsWith('-')) {
    const value = parseUnsigned(text);
    return typeof value === 'bigint' && value > SIGNED_MAX ? 'ERANGE' : value;
  }
  const value = magnitude(text.slice(1), 0);
  if (typeof value !== 'bigint') return value;
  return value > SIGNED_MAX + 1n ? 'ERANGE' : -value;
}

/**
 * Reads as many digits as there are, as simple_strtoul does: no sign, no error, and none at all is 0.
 *
 * @param text what begins with them
 * @returns the number and what follows it
 */
export function readUnsigned(text: string): { readonly value: bigint; readonly rest: string } {
  const { value, rest } = leadingDigits(text, 0);
  return { value: BigInt.asUintN(64, value), rest };
}
