import { isUtf8 } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { environmentOf, wordsOf } from './given-texts.ts';

const anyBytes = fc.oneof(
  fc.uint8Array({ maxLength: 12 }).map((bytes) => Buffer.from(bytes)),
  fc.string({ unit: 'binary' }).map((text) => Buffer.from(text)),
);
const asBytes = (texts: readonly (string | Uint8Array)[]): Buffer[] =>
  texts.map((text) => Buffer.from(text as string));

const sorted = (texts: readonly Buffer[]): string[] => texts.map((text) => text.toString('hex')).toSorted();

describe('wordsOf()', () => {
  it('has the bytes of each word, whatever stands in front of them', () => {
    const strings = fc.array(anyBytes, { maxLength: 8 });
    fc.assert(
      fc.property(strings, strings, (before, words) => {
        const decoded = words.map(String);
        const found = wordsOf(decoded, [...before, ...words]);
        expect(asBytes(found)).toEqual(words);
        // What is UTF-8 and could be nothing else stays a text.
        expect(found.filter((word) => typeof word === 'string')).toEqual(
          decoded.filter((word) => !word.includes('\uFFFD')),
        );
      }),
      { seed: 11 },
    );
  });

  it('finds words between which a parser has left one out', () => {
    const strings = ['node', 'usertrace', 'run', '\xff', '--', '\xfe'].map((text) =>
      Buffer.from(text, 'latin1'),
    );
    expect(wordsOf(['\uFFFD', '\uFFFD'], strings)).toEqual([Buffer.of(0xff), Buffer.of(0xfe)]);
  });

  it('has the words as they were decoded where the command line is another by now', () => {
    expect(wordsOf(['a', '\uFFFD'], [Buffer.from('title')])).toEqual(['a', '\uFFFD']);
    expect(wordsOf(['\uFFFD'], [])).toEqual(['\uFFFD']);
  });
});

describe('environmentOf()', () => {
  const started = ['A=1', 'B=\xff', 'C\xe9=2', '=no name\xff', 'nothing\xff', 'D=\xff'].map((text) =>
    Buffer.from(text, 'latin1'),
  );

  it('has the bytes of values and names that are no UTF-8', () => {
    const texts = environmentOf({ A: '1', B: '\uFFFD', D: '\uFFFD' }, started);
    expect(asBytes(texts)).toEqual([started[0], started[1], started[5], started[2]]);
    expect(texts[0]).toBe('A=1');
  });

  it('has what was changed since', () => {
    expect(environmentOf({ A: '2', B: 'new', E: undefined }, started.slice(0, 2))).toEqual(['A=2', 'B=new']);
    expect(environmentOf({ B: '\uFFFD' }, [])).toEqual(['B=\uFFFD']);
  });

  it('keeps every variable of a process that changed none', () => {
    const name = fc
      .string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 6 })
      .filter((one) => !one.includes('='));
    fc.assert(
      fc.property(fc.uniqueArray(fc.tuple(name, anyBytes), { selector: ([one]) => one }), (entries) => {
        const strings = entries.map(([one, value]) => Buffer.concat([Buffer.from(`${one}=`), value]));
        const variables = Object.fromEntries(entries.map(([one, value]) => [one, value.toString()]));
        const texts = environmentOf(variables, strings);
        expect(sorted(asBytes(texts))).toEqual(sorted(strings));
        expect(texts.every((text) => typeof text === 'string' || !isUtf8(text))).toBe(true);
      }),
      { seed: 12 },
    );
  });
});
