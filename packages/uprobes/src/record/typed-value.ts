/** What a type keeps of the bytes or the number that were fetched. */

import type { ValueType } from '../definition/value-type.ts';

/**
 * A number as its type has it.
 *
 * @param raw 64 bits, or as many as the type has
 */
export function typedNumber(raw: bigint, { basic, bitField }: ValueType): bigint {
  const bits = basic.size * 8;
  if (bitField !== undefined) return BigInt.asUintN(bitField.width, raw >> BigInt(bitField.offset));
  return basic.isSigned ? BigInt.asIntN(bits, raw) : BigInt.asUintN(bits, raw);
}
