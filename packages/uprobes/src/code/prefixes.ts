/** What stands before an instruction's opcode. Encodings: Intel SDM volume 2. */

export const OPERAND_SIZE = 0x66;
export const ADDRESS_SIZE = 0x67;

const LEGACY: ReadonlySet<number> = new Set([
  0x26,
  0x2e,
  0x36,
  0x3e,
  0x64,
  0x65,
  OPERAND_SIZE,
  ADDRESS_SIZE,
  0xf0,
  0xf2,
  0xf3,
]);

export function isRex(byte: number): boolean {
  return (byte & 0xf0) === 0x40;
}

/** All that stands before the opcode; a REX counts only when it is the last of it. */
export function prefixesOf(bytes: Uint8Array): number[] {
  const end = bytes.findIndex((byte) => !LEGACY.has(byte) && !isRex(byte));
  return [...bytes.subarray(0, end < 0 ? bytes.length : end)];
}
