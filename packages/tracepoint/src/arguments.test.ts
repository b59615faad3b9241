import { describe, expect, expectTypeOf, it } from 'vitest';
import type { ArgumentsOf } from './arguments.ts';
import {
  byteArray,
  bytes,
  chars,
  dataLoc,
  f64,
  relLoc,
  s64,
  str,
  struct,
  u16,
  u32,
  u64,
  u8,
} from './field-type.ts';
import { tracepoint } from './tracepoint.ts';

// What is checked here is checked by the compiler: tsc -b fails where these types are others.
describe('the arguments of a tracepoint', () => {
  it('are the fields in the order in which they are written, whatever their names', () => {
    const request = { zone: str, method: str, status: u16, us: u64, a: u32, body: bytes };
    expectTypeOf<ArgumentsOf<typeof request>>().toEqualTypeOf<
      [string, string, number, number | bigint, number, Uint8Array]
    >();
    const other = { us: u64, a: bytes, status: str, zone: u8 };
    expectTypeOf<ArgumentsOf<typeof other>>().toEqualTypeOf<[number | bigint, Uint8Array, string, number]>();
  });

  it('have the types that the fields take', () => {
    const all = {
      text: chars(8),
      array: byteArray(4),
      point: struct('point', 8),
      double: f64,
      ticks: s64,
      late: dataLoc('char[]'),
      numbers: relLoc('u32[]'),
    };
    expectTypeOf<ArgumentsOf<typeof all>>().toEqualTypeOf<
      [string, Uint8Array, Uint8Array, number, number | bigint, string, Uint8Array]
    >();
  });

  it('may come from a list of pairs', () => {
    const listed = tracepoint('arguments_listed', [
      ['zone', str],
      ['count', u32],
    ]);
    expectTypeOf(listed).parameters.toEqualTypeOf<[string, number]>();
    expectTypeOf(tracepoint('arguments_none')).parameters.toEqualTypeOf<[]>();
  });

  it('are checked where the tracepoint is called', () => {
    const request = tracepoint('arguments_checked', { method: str, status: u16 });
    request('GET', 200);
    request.emit('GET', 200);
    // @ts-expect-error -- the wrong way round
    request(200, 'GET');
    // @ts-expect-error -- one is missing
    request.emit('GET');
    // @ts-expect-error -- one is too many
    request('GET', 200, 1);
    // @ts-expect-error -- not a type of a field
    expect(() => tracepoint('arguments_wrong_field', { method: 'string' })).toThrow(TypeError);
  });
});
