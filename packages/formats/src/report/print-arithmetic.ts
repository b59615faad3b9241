/** C's arithmetic as print formats use it: on 64 unsigned bits, as trace-cmd calculates. */

/** A sign before a number. */
export function calculateUnary(sign: string, value: bigint): bigint {
  if (sign === '-') return BigInt.asUintN(64, -value);
  if (sign === '~') return BigInt.asUintN(64, ~value);
  return sign === '!' ? BigInt(value === 0n) : value;
}

/** A sign between two numbers; a division by zero gives 0. */
export function calculate(sign: string, a: bigint, b: bigint): bigint {
  switch (sign) {
    case '||':
      return BigInt(a !== 0n || b !== 0n);
    case '&&':
      return BigInt(a !== 0n && b !== 0n);
    case '|':
      return a | b;
    case '^':
      return a ^ b;
    case '&':
      return a & b;
    case '==':
      return BigInt(a === b);
    case '!=':
      return BigInt(a !== b);
    case '<':
      return BigInt(a < b);
    case '<=':
      return BigInt(a <= b);
    case '>':
      return BigInt(a > b);
    case '>=':
      return BigInt(a >= b);
    case '<<':
      return BigInt.asUintN(64, a << (b & 63n));
    case '>>':
      return a >> (b & 63n);
    case '+':
      return BigInt.asUintN(64, a + b);
    case '-':
      return BigInt.asUintN(64, a - b);
    case '*':
      return BigInt.asUintN(64, a * b);
    case '/':
      return b === 0n ? 0n : a / b;
    default:
      return b === 0n ? 0n : a % b;
  }
}

/** Bytes in hex, two digits each. */
export function hexBytes(bytes: Uint8Array, between: string): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(between);
}
