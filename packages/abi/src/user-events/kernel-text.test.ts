import { describe, expect, it } from 'vitest';
import { isPrintable, isSpace, parseUint32, skipSpaces, splitWords } from './kernel-text.ts';

describe('parseUint32()', () => {
  it.each([
    ['10', 0, 10],
    ['0x10', 0, 16],
    ['0X1f', 0, 31],
    ['010', 0, 8],
    ['0', 0, 0],
    ['+7', 0, 7],
    ['7\n', 0, 7],
    ['010', 10, 10],
    ['4294967295', 10, 0xffff_ffff],
  ] as const)('reads %j in base %d', (text, base, value) => {
    expect(parseUint32(text, base)).toBe(value);
  });

  it.each([
    ['', 0],
    ['-1', 0],
    [' 1', 0],
    ['1 ', 0],
    ['0x', 0],
    ['08', 0],
    ['++1', 0],
    ['0x10', 10],
    ['4294967296', 10],
  ] as const)('refuses %j in base %d', (text, base) => {
    expect(parseUint32(text, base)).toBeUndefined();
  });
});

describe('isSpace() and isPrintable()', () => {
  it('take the upper half from latin1, as the kernel does', () => {
    expect([0x20, 0x09, 0x0d, 0xa0].every(isSpace)).toBe(true);
    expect([0x00, 0x1f, 0x41, 0x85].some(isSpace)).toBe(false);
    expect([0x20, 0x7e, 0xa0, 0xff].every(isPrintable)).toBe(true);
    expect([0x1f, 0x7f, 0x80, 0x9f].some(isPrintable)).toBe(false);
  });
});

describe('splitWords() and skipSpaces()', () => {
  it('take any run of spaces for one', () => {
    expect(splitWords('  a\t\nb\xa0c ')).toEqual(['a', 'b', 'c']);
    expect(splitWords(' ')).toEqual([]);
    expect(skipSpaces('\t a b')).toBe('a b');
  });
});
