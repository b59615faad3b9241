import { describe, expect, it } from 'vitest';
import type { Fields } from './arguments.ts';
import { declarationOf } from './declaration.ts';
import {
  byteArray,
  bytes,
  chars,
  dataLoc,
  f64,
  int,
  relLoc,
  str,
  struct,
  u16,
  u32,
  u8,
  uint,
} from './field-type.ts';

describe('declarationOf()', () => {
  it('gives the command that the kernel takes', () => {
    const fields = {
      a: u8,
      b: uint,
      s: str,
      p: struct('point', 12),
      c: chars(8),
      d: f64,
      e: dataLoc('u32[]'),
    };
    expect(declarationOf('my_event', fields).command).toBe(
      'my_event u8 a; unsigned int b; __rel_loc char[] s; struct point p 12; char[8] c; u64 d; __data_loc u32[] e',
    );
    expect(declarationOf('tick', []).command).toBe('tick');
  });

  it('keeps the order of a list, and of names', () => {
    const byName = declarationOf('e', { z: int, a: bytes, m: byteArray(3) });
    const listed = declarationOf('e', [
      ['z', int],
      ['a', bytes],
      ['m', byteArray(3)],
    ]);
    expect(byName).toEqual(listed);
    expect(byName.fields.map(({ field }) => field.name)).toEqual(['z', 'a', 'm']);
  });

  const refused: [string, string, Fields, RegExp][] = [
    ['a name with a space', 'my event', {}, /letters, digits and _/],
    ['a name with a colon', 'my:event', {}, /letters, digits and _/],
    ['an empty name', '', {}, /letters, digits and _/],
    ['a name that begins with a digit', '1st', {}, /begin with a digit/],
    ['the name of a file in the tree', 'enable', {}, /file in the tree/],
    ['a field whose name is none', 'e', { 'a b': u8 }, /field "a b".*letters/],
    ['a common field', 'e', { common_pid: u8 }, /common_pid.*reserved/],
    [
      'a field twice',
      'e',
      [
        ['a', u8],
        ['a', u16],
      ],
      /field a is there twice/,
    ],
    ['an array of 1025 bytes', 'e', { a: chars(1025) }, /array of 1025 bytes.*1 to 1024/],
    ['an array of no bytes', 'e', { a: byteArray(0) }, /array of 0 bytes/],
    ['an array of half a byte', 'e', { a: byteArray(1.5) }, /array of 1.5 bytes/],
    ['a struct of no bytes', 'e', { a: struct('s', 0) }, /struct of 0 bytes/],
    ['a struct that no page holds', 'e', { a: struct('s', 5000) }, /struct of 5000 bytes/],
    ['a struct without a name', 'e', { a: struct('a b', 4) }, /no C name/],
    ['a type with a field behind it', 'e', { a: relLoc('u8[] x; u8') }, /does not know/],
    ['a command of 512 characters', 'e'.repeat(505), { ab: u16 }, /512 characters.*511/],
    [
      'fields that no page holds',
      'e',
      { a: chars(1024), b: chars(1024), c: chars(1024), d: chars(1024) },
      /4096 bytes/,
    ],
    ['no field type', 'e', { a: undefined } as unknown as Fields, /field a has no type/],
  ];

  it.each(refused)('refuses %s', (_, name, fields, rule) => {
    expect(() => declarationOf(name, fields)).toThrow(TypeError);
    expect(() => declarationOf(name, fields)).toThrow(rule);
  });

  it('takes what is just small enough', () => {
    expect(declarationOf('e'.repeat(504), { ab: u16 }).command).toHaveLength(511);
    expect(() => declarationOf('e', { a: struct('s', 4052), b: u32 })).toThrow(/room for/);
    expect(declarationOf('e', { a: struct('s', 4048), b: u32 }).fields).toHaveLength(2);
  });
});
