import { describe, expect, it } from 'vitest';
import { parseFields } from './fields.ts';
import { formatFileText } from './format-file.ts';
import { printEventFields } from './print-fields.ts';

function print(fields: string, payload: string): string {
  const entry = Buffer.concat([Buffer.alloc(8), Buffer.from(payload, 'hex')]);
  const padding = Buffer.alloc((4 - (entry.length % 4)) % 4);
  return printEventFields('w', parseFields(fields) as [], Buffer.concat([entry, padding]));
}

describe('printEventFields()', () => {
  it.each([
    ['u8 a; s8 b', '41ff', "w: a='A'(65) b='\xff'(255)\n"],
    ['char a', '07', 'w: a=(7)\n'],
    ['s16 a', 'ffff', 'w: a=0xffff (65535)\n'],
    ['u32 a', 'ffffffff', 'w: a=0xffffffff (-1)\n'],
    ['u64 a', 'ffffffffffffffff', 'w: a=0xffffffffffffffff (-1)\n'],
    ['char[4] a', '61006262', 'w: a=a\n'],
    ['char[4] a', '61626364', 'w: a=abcd\n'],
    ['__data_loc char[] a', '0c000300686900', 'w: a=hi\n'],
    ['__rel_loc char[] a; u8 b', '010003004100686900', "w: a= b='A'(65)\n"],
    ['__data_loc u8[] a', '0c00030001ff02', 'w: a=01,ff,02\n'],
    ['__rel_loc u8[] a', '0000020001ff', 'w: a=01,ff\n'],
    ['__data_loc u8[] a', '0c00050001ff02', 'w: a=<OVERFLOW>\n'],
    ['struct s a 3', '000000', 'w: a=\n'],
    ['', 'ff', 'w:No fields found\n'],
  ])('prints %j with %s', (fields, payload, text) => {
    expect(print(fields, payload)).toBe(text);
  });

  it('says where a record ends before its fields', () => {
    expect(print('u32 a; u64 b', '01000000')).toBe('w: a=0x1 (1) b=<OVERFLOW>\n');
  });
});

describe('formatFileText()', () => {
  it('declares fields as C does, and says how to print them', () => {
    const fields = parseFields(
      'unsigned char[4] a; __data_loc char[] b; __rel_loc u8[] c; s64 d; struct s e 3',
    );
    const text = formatFileText('ev', 2000, fields as []);
    expect(text.split('\n').slice(0, 3)).toEqual(['name: ev', 'ID: 2000', 'format:']);
    expect(text.split('\n').slice(8)).toEqual([
      '\tfield:unsigned char a[];\toffset:8;\tsize:4;\tsigned:0;',
      '\tfield:__data_loc char[] b;\toffset:12;\tsize:4;\tsigned:1;',
      '\tfield:__rel_loc u8 c[];\toffset:16;\tsize:4;\tsigned:1;',
      '\tfield:s64 d;\toffset:20;\tsize:8;\tsigned:1;',
      '\tfield:struct s e;\toffset:28;\tsize:3;\tsigned:1;',
      '',
      'print fmt: "a=%s b=%s c=%llu d=%lld e=%llu", REC->a, __get_str(b), REC->c, REC->d, REC->e',
      '',
    ]);
  });
});
