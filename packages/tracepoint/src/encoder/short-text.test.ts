import { describe, expect, it } from 'vitest';
import { SHORT_TEXT_MAX, shortTextLength, writeShortText } from './short-text.ts';

const SEED = Number(process.env['USERTRACE_SEED'] ?? Math.trunc(Math.random() * 0x7fff_ffff));
const RUNS = Number(process.env['USERTRACE_RUNS'] ?? 5000);
/** One of each length, the ends of all ranges, and halves of pairs. */
const UNITS = [
  0, 0x41, 0x7f, 0x80, 0xe9, 0x7ff, 0x800, 0x8a9e, 0xd7ff, 0xd800, 0xdbff, 0xdc00, 0xdfff, 0xe000, 0xffff,
];

describe('short texts', () => {
  it(`are the bytes that Buffer makes of them, in any room (USERTRACE_SEED=${SEED})`, () => {
    let state = SEED || 1;
    const below = (count: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
      return (state >>> 8) % count;
    };
    for (let run = 0; run < RUNS; run++) {
      const units = Array.from(
        { length: below(SHORT_TEXT_MAX + 1) },
        () => UNITS[below(UNITS.length)] as number,
      );
      const text = String.fromCharCode(...units);
      expect(shortTextLength(text)).toBe(Buffer.byteLength(text));
      const size = below(SHORT_TEXT_MAX * 3 + 2);
      const ours = Buffer.alloc(100, 0xee);
      const theirs = Buffer.alloc(100, 0xee);
      const written = theirs.write(text, 3, size);
      expect(writeShortText(ours, 3, text, size)).toBe(written);
      expect(ours.subarray(0, 3 + written)).toEqual(theirs.subarray(0, 3 + written));
      expect(ours.subarray(3 + written).every((byte) => byte === 0xee)).toBe(true);
    }
  });
});
