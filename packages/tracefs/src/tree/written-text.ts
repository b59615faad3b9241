/**
 * How the kernel reads what is written to its control files. Nothing here keeps state.
 *
 * Texts are bytes to the kernel, so here they are strings of one character a byte (latin1), in both directions.
 */

import type { ErrnoName } from '@usertrace/base';

const ULONG_MAX = 0xffff_ffff_ffff_ffffn;
/** The kernel copies a number into a buffer of this many bytes, 64 bits in binary with a sign and an end. */
const NUMBER_TEXT_MAX = 66;
/** The longest word of one write to set_event, its end included (EVENT_BUF_SIZE). */
const WORD_MAX = 128;
const DECIMAL = /^\+?([0-9]+)\n?$/;

/** The characters that `isspace` of the kernel's ctype names; 0xa0 is a space in its latin1 table. */
const SPACE = '[\\t-\\r \\xa0]';
const IS_SPACE = new RegExp(SPACE);
const FIRST_WORD = new RegExp(`^(${SPACE}*)([^\\t-\\r \\xa0]*)(${SPACE}?)`);

/** The bytes as text, one character a byte. */
export function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}

/** The text as bytes, one a character. */
export function bytesOf(text: string): Uint8Array {
  return Buffer.from(text, 'latin1');
}

/** What comes before the first zero byte: where the kernel's strings end. */
export function untilZero(text: string): string {
  const end = text.indexOf('\0');
  return end < 0 ? text : text.slice(0, end);
}

/**
 * A decimal unsigned long, as kstrtoul reads it: digits, perhaps a plus before and one line end after them.
 *
 * @returns the number (rounded above 2^53), EINVAL for other texts, ERANGE beyond 64 bits
 */
export function parseUnsigned(written: string): number | ErrnoName {
  const digits = DECIMAL.exec(untilZero(written.slice(0, NUMBER_TEXT_MAX)))?.[1];
  if (digits === undefined) return 'EINVAL';
  const value = BigInt(digits);
  return value > ULONG_MAX ? 'ERANGE' : Number(value);
}

/** A text without the spaces around it, as strstrip leaves it. */
export function stripSpaces(written: string): string {
  const text = untilZero(written);
  let start = 0;
  let end = text.length;
  while (start < end && IS_SPACE.test(text.charAt(start))) start++;
  while (end > start && IS_SPACE.test(text.charAt(end - 1))) end--;
  return text.slice(start, end);
}

/**
 * The first word of a write, for files that take one word from each write(2) and leave the rest to the caller.
 *
 * @returns the word (empty when there are only spaces) and how many bytes were used, with the space after it;
 *   EINVAL for a word of WORD_MAX bytes or more
 */
export function firstWord(written: string): { word: string; usedBytes: number } | ErrnoName {
  const [used = '', , word = ''] = FIRST_WORD.exec(written) ?? [];
  if (word.length >= WORD_MAX) return 'EINVAL';
  return { word: untilZero(word), usedBytes: used.length };
}
