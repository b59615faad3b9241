import { describe, expect, it } from 'vitest';
import { parseFields } from './fields.ts';
import { isPayloadValid, validatorsOf } from './validators.ts';

const isValid = (fields: string, payload: string, type = 2000, pid = 77): boolean =>
  isPayloadValid(
    validatorsOf(parseFields(fields) as []),
    Buffer.from(`00000000${payload}`, 'hex'),
    4,
    type,
    pid,
  );

const endingAt = (end: number): string => `${end.toString(16).padStart(2, '0')}000000`;

describe('isPayloadValid()', () => {
  it.each([
    ['__data_loc char[] a', '0c0003006869 00'],
    ['__rel_loc char[] a', '000003006869 00'],
    ['__data_loc u8[] a', '0c0002006869'],
    ['u8 b; __rel_loc u8[] a', '01 00000000'],
    ['u32 a', '01020304'],
  ])('takes %j with %s', (fields, payload) => {
    expect(isValid(fields, payload.replaceAll(' ', ''))).toBe(true);
  });

  it.each([
    ['a text without NUL', '__data_loc char[] a', '0c00020068 69'],
    ['a value behind the end', '__data_loc u8[] a', '0c00030068 69'],
    ['the second field', '__data_loc u8[] a; __rel_loc char[] b', '10000000 00000100 68'],
  ])('refuses %s', (_, fields, payload) => {
    expect(isValid(fields, payload.replaceAll(' ', ''))).toBe(false);
  });

  it('looks for the NUL of a text at offset 0 to 8 in the common fields', () => {
    expect(isValid('__data_loc char[] a', endingAt(0))).toBe(true);
    expect(isValid('__data_loc char[] a', endingAt(1))).toBe(false);
    expect(isValid('__data_loc char[] a', endingAt(1), 0x700)).toBe(true);
    expect(isValid('__data_loc char[] a', endingAt(3))).toBe(true);
    expect(isValid('__data_loc char[] a', endingAt(5))).toBe(false);
    expect(isValid('__data_loc char[] a', endingAt(8))).toBe(true);
  });
});
