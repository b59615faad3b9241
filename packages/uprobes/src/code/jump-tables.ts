/**
 * Where a function's jump tables lead. Compilers turn `switch` into a jump to an address read from a table; without
 * the table nobody knows which instructions are jumped to. A jump is believed to go to a table's entry only where the code that
 * computes its target is one of the forms that compilers write (`goto *label` is none); a table is read on as long as its entries lead into code, so that rather too
 * many targets are seen than too few.
 */

import type { CodeInstruction } from './instruction.ts';
import { isRex, prefixesOf } from './prefixes.ts';

/** The memory of the file that is analysed, as it was linked. */
export interface CodeImage {
  /** Bytes at an address, or undefined where the file has none. */
  read(address: number, length: number): Uint8Array | undefined;
  /** Whether code stands at an address. */
  isCode(address: number): boolean;
  /** Whether exceptions may lead to an address from `from` up to `to`. */
  hasLandingPad(from: number, to: number): boolean;
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
  const relative = instructions.map((instruction) => relativeTable(instruction, image));
  const bases = new Set<number | undefined>(
    instructions.flatMap(({ bytes }, index) => (relative[index]?.length ? [registerField(bytes)] : [])),
  );
  const targets = relative.flat();
  for (const jump of tables) {
    const absolute = absoluteTable(jump, image);
    if (absolute !== undefined) targets.push(...absolute);
    else if (!bases.has(tableBase(instructions, instructions.indexOf(jump)))) return undefined;
  }
  return targets;
}

/** So many instructions before a jump its target is computed. Compilers put others in between. */
const COMPUTED_WITHIN = 16;
const NOTHING = new Uint8Array();

/**
 * The register with the table's address of a jump that goes to an entry of a table of distances:
 * `movslq (table,index,4),entry; add table,entry; jmp *entry`, or another sum of the two.
 */
function tableBase(instructions: readonly CodeInstruction[], jump: number): number | undefined {
  const target = jumpRegister(instructions[jump]!.bytes);
  const before = instructions.slice(Math.max(0, jump - COMPUTED_WITHIN), jump);
  const addition = before.findLastIndex(({ bytes }) => additionOf(bytes)?.sum === target);
  const terms = additionOf(before[addition]?.bytes ?? NOTHING)?.terms;
  if (target === undefined || terms === undefined) return undefined;
  const read = before.slice(0, addition).findLast(({ bytes }) => {
    const [entry, table] = [registerField(bytes), baseField(bytes)];
    return isTableRead(bytes) && entry !== table && terms.includes(entry) && terms.includes(table);
  });
  return read === undefined ? undefined : baseField(read.bytes);
}

/** The register of `jmp *register`. */
function jumpRegister(bytes: Uint8Array): number | undefined {
  const opcode = prefixesOf(bytes).length;
  const modrm = bytes[opcode + 1] ?? 0;
  if (bytes[opcode] !== 0xff || modrm >> 3 !== 0b11_100) return undefined;
  const rex = opcode > 0 && isRex(bytes[opcode - 1]!) ? bytes[opcode - 1]! : 0;
  return (modrm & 7) | ((rex & 1) << 3);
}

/** What is added in 64 bits, and where to: `add term,sum` and `lea (term,term,1),sum`. */
function additionOf(bytes: Uint8Array): { sum: number; terms: readonly number[] } | undefined {
  const [rex = 0, opcode, modrm = 0, sib = 0] = bytes;
  if ((rex & 0xf8) !== 0x48) return undefined;
  const [register, other] = [registerField(bytes), memoryField(bytes)];
  if (opcode === 0x01 && modrm >> 6 === 3) return { sum: other, terms: [register, other] };
  if (opcode === 0x03 && modrm >> 6 === 3) return { sum: register, terms: [register, other] };
  const isSum = opcode === 0x8d && (modrm & 0xc7) === 4 && sib >> 6 === 0;
  const index = ((sib >> 3) & 7) | ((rex & 2) << 2);
  return isSum ? { sum: register, terms: [baseField(bytes), index] } : undefined;
}

/** `movslq (base,index,4),register`: how entries that are distances from their table are read. */
function isTableRead(bytes: Uint8Array): boolean {
  const [rex = 0, opcode, modrm = 0, sib = 0] = bytes;
  return (rex & 0xf8) === 0x48 && opcode === 0x63 && (modrm & 7) === 4 && modrm >> 6 !== 3 && sib >> 6 === 2;
}

/** The register that REX.R and ModRM.reg name, of an instruction that begins with REX and has an opcode of one byte. */
function registerField([rex = 0, , modrm = 0]: Uint8Array): number {
  return ((modrm >> 3) & 7) | ((rex & 4) << 1);
}

/** The register that REX.B and ModRM.rm name. */
function memoryField([rex = 0, , modrm = 0]: Uint8Array): number {
  return (modrm & 7) | ((rex & 1) << 3);
}

/** The register that REX.B and SIB.base name. */
function baseField([rex = 0, , , sib = 0]: Uint8Array): number {
  return (sib & 7) | ((rex & 1) << 3);
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
