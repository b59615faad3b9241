/**
 * Where a function's jump tables lead. Compilers turn `switch` into a jump to an address read from a table; without
 * the table nobody knows which instructions are jumped to. A table is believed only where the code that reads it is
 * one of the forms that compilers write; it is read on as long as its entries lead into code, so that rather too
 * many targets are seen than too few.
 */

import type { CodeInstruction } from './instruction.ts';

/** The memory of the file that is analysed, as it was linked. */
export interface CodeImage {
  /** Bytes at an address, or undefined where the file has none. */
  read(address: number, length: number): Uint8Array | undefined;
  /** Whether code stands at an address. */
  isCode(address: number): boolean;
}

/** More than compilers write. */
const ENTRIES_MAX = 4096;

/**
 * Where the indirect jumps of a function may lead.
 *
 * @param instructions the whole function
 * @param image what the file's memory holds
 * @returns the targets, or undefined if some jump's table was not found
 */
export function indirectTargets(
  instructions: readonly CodeInstruction[],
  image: CodeImage,
): number[] | undefined {
  const jumps = instructions.filter(({ flow }) => flow === 'indirect-jump');
  // A jump through a fixed slot is a call of another function that does not come back.
  const tables = jumps.filter(({ memoryTarget }) => memoryTarget === undefined);
  if (tables.length === 0) return [];
  const targets = instructions.flatMap((instruction) => relativeTable(instruction, image));
  const absolute = tables.map((jump) => absoluteTable(jump, image));
  if (absolute.every((found) => found !== undefined)) return [...targets, ...absolute.flat()];
  const unexplained = absolute.filter((found) => found === undefined).length;
  return unexplained <= countTableReads(instructions) && targets.length > 0
    ? [...targets, ...absolute.flatMap((found) => found ?? [])]
    : undefined;
}

/** `movslq (base,index,4),reg`: how entries that are distances from their table are read. */
function countTableReads(instructions: readonly CodeInstruction[]): number {
  return instructions.filter(({ bytes }) => {
    const isMoveSigned = ((bytes[0] ?? 0) & 0xf8) === 0x48 && bytes[1] === 0x63;
    const hasIndex = ((bytes[2] ?? 0) & 7) === 4 && (bytes[2] ?? 0) >> 6 !== 3;
    return isMoveSigned && hasIndex && (bytes[3] ?? 0) >> 6 === 2;
  }).length;
}

/** What a table of 32-bit distances holds, if the instruction takes an address that is one: `lea table(%rip),reg`. */
function relativeTable({ bytes, memoryTarget }: CodeInstruction, image: CodeImage): number[] {
  const isLea = ((bytes[0] ?? 0) & 0xf8) === 0x48 && bytes[1] === 0x8d;
  if (memoryTarget === undefined || !isLea || image.isCode(memoryTarget)) return [];
  const targets: number[] = [];
  for (let entry = 0; entry < ENTRIES_MAX; entry++) {
    const bytesOfEntry = image.read(memoryTarget + entry * 4, 4);
    if (bytesOfEntry === undefined) break;
    const target = memoryTarget + Buffer.from(bytesOfEntry).readInt32LE();
    if (!image.isCode(target)) break;
    targets.push(target);
  }
  return targets;
}

/** What a table of addresses holds: `jmp *table(,index,8)`. */
function absoluteTable({ bytes }: CodeInstruction, image: CodeImage): number[] | undefined {
  const opcode = bytes.indexOf(0xff);
  const isTable = opcode >= 0 && bytes[opcode + 1] === 0x24 && ((bytes[opcode + 2] ?? 0) & 0xc7) === 0xc5;
  if (!isTable) return undefined;
  const table = Buffer.from(bytes).readInt32LE(opcode + 3);
  const targets: number[] = [];
  for (let entry = 0; entry < ENTRIES_MAX; entry++) {
    const bytesOfEntry = image.read(table + entry * 8, 8);
    if (bytesOfEntry === undefined) break;
    const target = Number(Buffer.from(bytesOfEntry).readBigUInt64LE());
    if (!image.isCode(target)) break;
    targets.push(target);
  }
  return targets.length > 0 ? targets : undefined;
}
