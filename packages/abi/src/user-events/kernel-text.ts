/**
 * How the kernel reads characters and numbers, which differs from JavaScript in small ways.
 *
 * All text here is a string of bytes: each character is one byte (latin1), as the kernel sees it.
 */

/**
 * Whether the kernel calls a byte a space: the ASCII ones, and 0xa0, which its table takes from latin1.
 *
 * @param byte a byte, 0 to 255
 */
export function isSpace(byte: number): boolean {
  return byte === 0x20 || (byte >= 0x09 && byte <= 0x0d) || byte === 0xa0;
}

/**
 * Whether the kernel calls a byte printable: ASCII's printable ones, and everything from 0xa0 up (latin1).
 *
 * @param byte a byte, 0 to 255
 */
export function isPrintable(byte: number): boolean {
  return (byte >= 0x20 && byte <= 0x7e) || byte >= 0xa0;
}

/** The text behind its leading spaces. */
export function skipSpaces(text: string): string {
  let start = 0;
  while (start < text.length && isSpace(text.charCodeAt(start))) start++;
  return text.slice(start);
}

/** The words of a text, which any number of spaces separate. */
export function splitWords(text: string): string[] {
  const words: string[] = [];
  let start = -1;
  for (let i = 0; i <= text.length; i++) {
    const inWord = i < text.length && !isSpace(text.charCodeAt(i));
    if (inWord && start < 0) start = i;
    if (!inWord && start >= 0) {
      words.push(text.slice(start, i));
      start = -1;
    }
  }
  return words;
}

/**
 * Reads an unsigned 32-bit number as the kernel's `kstrtouint` does: one leading `+` and one trailing
 * newline are fine, a sign, a space or an empty text are not.
 *
 * @param text the whole text
 * @param base 10, or 0 to take it from the prefix: `0x` and a hex digit, `0`, or decimal
 * @returns the number, or undefined where the kernel answers EINVAL or ERANGE
 */
export function parseUint32(text: string, base: 0 | 10): number | undefined {
  let digits = text.startsWith('+') ? text.slice(1) : text;
  if (digits.endsWith('\n')) digits = digits.slice(0, -1);
  let value: number;
  if (base === 0 && /^0x[0-9a-f]+$/i.test(digits)) value = Number.parseInt(digits.slice(2), 16);
  else if (base === 0 && /^0[0-7]+$/.test(digits)) value = Number.parseInt(digits, 8);
  else if (/^[0-9]+$/.test(digits) && (base === 10 || digits === '0' || !digits.startsWith('0'))) {
    value = Number.parseInt(digits, 10);
  } else return undefined;
  return value <= 0xffff_ffff ? value : undefined;
}
