/**
 * Numbers of 64 bits as two of 32, which V8 stores without making an object of them. The two halves are good until the next call:
 * no code of the program runs in between.
 */

/** Low half first. */
export const halves: Int32Array = new Int32Array(2);
/** The same memory as a double. */
export const double: Float64Array = new Float64Array(halves.buffer);

const long = new BigInt64Array(halves.buffer);
const TWO_TO_32 = 2 ** 32;

/** Puts a number's 64 bits into `halves`: a bigint's low ones, a number's without its fraction. */
export function splitLong(value: number | bigint): void {
  if (typeof value === 'bigint') {
    long[0] = value;
    return;
  }
  const whole = Math.trunc(value);
  halves[0] = whole;
  halves[1] = Math.floor(whole / TWO_TO_32);
}
