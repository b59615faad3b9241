import { describe, expect, it } from 'vitest';
import { parseCommand } from './command.ts';
import { fieldsText, fieldWords, minimumPayload, parseFields, wordsMatchFields } from './fields.ts';

const matches = (said: string, existing: string): boolean =>
  wordsMatchFields(fieldWords(said), fieldsText(parseFields(existing) as []));

describe('parseCommand()', () => {
  it('ends the name at the first space', () => {
    expect(parseCommand('ev u32 a; u8 b')).toEqual({ name: 'ev', fields: 'u32 a; u8 b' });
    expect(parseCommand('a/b*')).toEqual({ name: 'a/b*', fields: '' });
    expect(parseCommand('')).toEqual({ name: '', fields: '' });
  });

  it('refuses flags, of which there are none', () => {
    expect(parseCommand('ev:FLAG u32 a')).toBe('EINVAL');
    expect(parseCommand('ev a:b')).toEqual({ name: 'ev', fields: 'a:b' });
  });
});

describe('parseFields()', () => {
  it('packs fields behind the common ones', () => {
    const fields = parseFields('u8 a;unsigned int b; struct s c 21; __data_loc char[] d; char[0x10] e;');
    expect(fields).toMatchObject([
      { type: 'u8', name: 'a', offset: 8, size: 1, isSigned: false, filterType: 'other' },
      { type: 'unsigned int', name: 'b', offset: 9, size: 4, isSigned: false, filterType: 'other' },
      { type: 'struct s', name: 'c', offset: 13, size: 21, isSigned: true, filterType: 'other' },
      { type: '__data_loc char[]', name: 'd', offset: 34, size: 4, isSigned: true, filterType: 'dyn-string' },
      { type: 'char[0x10]', name: 'e', offset: 38, size: 16, isSigned: true, filterType: 'static-string' },
    ]);
  });

  it('takes nothing, and nothing between two semicolons', () => {
    expect(parseFields('')).toEqual([]);
    expect(parseFields(' ;; u8 a; ')).toHaveLength(1);
  });

  it.each([
    'u32',
    'u32 a 4',
    'u32  a',
    'u32 a ',
    'long a',
    'unsigned a',
    'struct s',
    'struct s a',
    'struct s a 0',
    'struct s a 0x4',
    'struct s a 4 4',
    'char[] a',
    'char[1025] a',
    'char[0] a',
    'char[-1] a',
    'char[0x000001] a',
    'u32* a',
  ])('refuses %j', (text) => {
    expect(parseFields(text)).toBe('EINVAL');
  });

  it('answers with the errno that a negative struct size is, as the kernel does', () => {
    expect(parseFields('struct s a 4294967295')).toBe('EPERM');
    expect(parseFields('struct s a 4294967294')).toBe('ENOENT');
    expect(parseFields('struct s a 2147483647')).toMatchObject([{ size: 0x7fff_ffff }]);
  });
});

describe('minimumPayload()', () => {
  it('is the end of the last field', () => {
    expect(minimumPayload(parseFields('u8 a; u64 b') as [])).toBe(9);
    expect(minimumPayload([])).toBe(0);
  });
});

describe('wordsMatchFields()', () => {
  it.each([
    ['u32 a; u8 b', 'u32 a;u8 b'],
    ['u32   a;u8 b;', 'u32 a; u8 b'],
    ['struct s a 4', 'struct s a 4'],
    ['', ''],
  ])('finds %j in an event made with %j', (said, existing) => {
    expect(matches(said, existing)).toBe(true);
  });

  it.each([
    ['u32 a', 'u32 a; u8 b'],
    ['u32 a; u8 b; u8 c', 'u32 a; u8 b'],
    ['u32 a ; u8 b', 'u32 a; u8 b'],
    ['char[4] a', 'char[0x4] a'],
    [';', ''],
    ['', 'u32 a'],
  ])('does not find %j in an event made with %j', (said, existing) => {
    expect(matches(said, existing)).toBe(false);
  });
});
