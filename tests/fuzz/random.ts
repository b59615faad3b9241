/**
 * Numbers that look random and are the same for the same seed.
 *
 * The generator is xorshift32 (G. Marsaglia, "Xorshift RNGs", 2003); tests/programs/fuzz-abi.c has the same one.
 */

/** Numbers that are often at the edge of something. */
const EDGES = [
  0, 1, 2, 3, 4, 7, 8, 31, 32, 39, 40, 63, 64, 127, 255, 4095, 4096, 65_535, 0x7fff_ffff, 0xffff_ffff,
];

/** A stream of numbers. */
export class Random {
  #state: number;

  /** @param seed any integer; 0 counts as 1 */
  constructor(seed: number) {
    this.#state = seed >>> 0 || 1;
  }

  /** An integer from 0 up to and without `limit`. */
  below(limit: number): number {
    let state = this.#state;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.#state = state >>> 0;
    return this.#state % limit;
  }

  /** True once in `count` times. */
  oneIn(count: number): boolean {
    return this.below(count) === 0;
  }

  /** One of these. */
  pick<Item>(items: readonly Item[]): Item {
    return items[this.below(items.length)] as Item;
  }

  /** A 32-bit number, half of the time one at an edge. */
  u32(): number {
    return this.oneIn(2) ? this.pick(EDGES) : this.below(0x1_0000_0000);
  }

  /** `length` bytes. */
  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.below(256));
  }

  /** The bytes with some of them changed, cut off or doubled. */
  mutate(original: Uint8Array): Uint8Array {
    let bytes = original.slice();
    for (let changes = this.below(4); changes > 0 && bytes.length > 0; changes--) {
      const at = this.below(bytes.length);
      const kind = this.below(4);
      if (kind === 0) bytes[at] = this.below(256);
      else if (kind === 1) bytes[at] = this.pick([0, 1, 0x7f, 0x80, 0xff]);
      else if (kind === 2) bytes = bytes.slice(0, at);
      else bytes = Uint8Array.from([...bytes, ...bytes.subarray(at)]);
    }
    return bytes;
  }
}
