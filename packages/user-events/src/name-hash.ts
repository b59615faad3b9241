/**
 * The order in which the kernel lists events in user_events_status: by the hash bucket of their name.
 *
 * The hash is Bob Jenkins' public-domain lookup3 (burtleburtle.net/bob/c/lookup3.c), as `hashlittle` with the
 * kernel's start value; the bucket is the top eight bits of its product with the golden ratio.
 */

const BUCKET_BITS = 8;
const GOLDEN_RATIO = 0x61c88647;
const BLOCK_SIZE = 12;

/** How far the steps of lookup3's `mix` and `final` rotate. */
const MIX_ROTATIONS = [4, 6, 8, 16, 19, 4] as const;
const FINAL_ROTATIONS = [14, 11, 25, 16, 4, 14, 24] as const;

/**
 * The bucket of a name.
 *
 * @param name one character a byte
 * @returns 0 to 255
 */
export function nameBucket(name: string): number {
  return Math.imul(hash(name), GOLDEN_RATIO) >>> (32 - BUCKET_BITS);
}

function hash(name: string): number {
  let a = (0xdeadbeef + name.length) | 0;
  let b = a;
  let c = a;
  let at = 0;
  for (; name.length - at > BLOCK_SIZE; at += BLOCK_SIZE) {
    a = (a + wordAt(name, at)) | 0;
    b = (b + wordAt(name, at + 4)) | 0;
    c = (c + wordAt(name, at + 8)) | 0;
    for (const rotation of MIX_ROTATIONS) {
      // One step on (a, b, c); the next is the same on (b, c, a).
      const mixed = ((a - c) | 0) ^ rotateLeft(c, rotation);
      [a, b, c] = [b, (c + b) | 0, mixed];
    }
  }
  if (at === name.length) return c;
  a = (a + wordAt(name, at)) | 0;
  b = (b + wordAt(name, at + 4)) | 0;
  c = (c + wordAt(name, at + 8)) | 0;
  for (const rotation of FINAL_ROTATIONS) {
    // One step on c; the next is the same on a, with c as its neighbour.
    const mixed = ((c ^ b) - rotateLeft(b, rotation)) | 0;
    [a, b, c] = [b, mixed, a];
  }
  // The word changed last, lookup3's c, is the next one's neighbour now.
  return b;
}

function rotateLeft(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}

/** Four bytes, little endian; zeroes behind the end. */
function wordAt(text: string, start: number): number {
  let word = 0;
  for (let i = 0; i < 4 && start + i < text.length; i++) word |= text.charCodeAt(start + i) << (8 * i);
  return word;
}
