/** Definitions that are nearly right, made from those of the corpus by small damage, the same for the same seed. */

import { FILE, SOURCES, TYPED_SOURCES, TYPES, words } from './corpus.sim.ts';

const DAMAGE = [
  ...words(String.raw`
  ( ) : = + - @ $ % \ " / [ ] b 0 x 9 u s . ,
`),
  ' ',
];

/** A small generator of numbers, the same for the same seed (mulberry32). */
export function random(seed: number): (bound: number) => number {
  let state = seed >>> 0;
  return (bound) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % bound;
  };
}

/**
 * Definitions that are nearly right: one with random sources and types, and up to three characters removed,
 * put in or doubled.
 *
 * @param seed the same seed makes the same definitions
 * @param count how many
 */
export function damaged(seed: number, count: number): (readonly string[])[] {
  const below = random(seed);
  const one = (texts: readonly string[]): string => texts[below(texts.length)] as string;
  return Array.from({ length: count }, () => {
    const made = [
      below(4) === 0 ? 'r:utp/ev' : 'p:utp/ev',
      below(3) === 0 ? `${FILE}:0x10(0x20)` : `${FILE}:0x1234`,
    ];
    for (let i = below(4); i >= 0; i--) {
      const source = below(2) === 0 ? one(TYPED_SOURCES) : one(SOURCES);
      made.push(
        (below(2) === 0 ? `${one(['a', 'b', 'c', 'd'])}=` : '') +
          source +
          (below(2) === 0 ? `:${one(TYPES)}` : ''),
      );
    }
    let text = made.join(' ');
    for (let i = below(4); i > 0; i--) {
      const at = 8 + FILE.length + below(Math.max(1, text.length - 8 - FILE.length));
      const insertion = below(3) === 0 ? '' : one(DAMAGE);
      text = text.slice(0, at) + insertion + text.slice(at + (below(2) === 0 ? 1 : 0));
    }
    return [text];
  });
}
