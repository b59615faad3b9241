import { expect, it } from 'vitest';
import { bytesOf, environmentEntries, environmentValue } from './program-text.ts';

it('a text becomes UTF-8, and bytes stay what they are', () => {
  expect([...bytesOf('ß')]).toEqual([0xc3, 0x9f]);
  expect([...bytesOf(Buffer.of(1, 0xff, 2).subarray(1, 2))]).toEqual([0xff]);
});

it('an environment is given by name or by entry', () => {
  expect(environmentEntries({ A: '1', B: undefined, C: '' })).toEqual(['A=1', 'C=']);
  expect(environmentEntries(['A=1'])).toEqual(['A=1']);
});

it('a variable is found by its whole name', () => {
  expect(environmentValue({ PATH: '/bin' }, 'PATH')).toBe('/bin');
  const entries = [
    'PATHS=/no',
    'XPATH=/no',
    Buffer.concat([Buffer.from('PATH=/'), Buffer.of(0xff)]),
    'PATH=',
  ];
  expect(environmentValue(entries, 'PATH')).toEqual(Buffer.of(0x2f, 0xff));
  expect(environmentValue(entries, 'HOME')).toBeUndefined();
});
