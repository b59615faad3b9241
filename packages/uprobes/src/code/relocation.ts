/**
 * Rewrites instructions so that they do elsewhere what they do in their place: distances to memory and jump
 * targets are told anew, short branches are widened, and calls push the address behind the original, so that
 * whoever walks the stack (exceptions, backtraces) sees the program's own addresses. No register, no flag and
 * nothing below the stack pointer but what the original writes is touched.
 *
 * Pure: bytes in, bytes out. Encodings: Intel SDM volume 2.
 */

import type { CodeInstruction } from './instruction.ts';
import { ADDRESS_SIZE, isRex, OPERAND_SIZE, prefixesOf } from './prefixes.ts';

/** Why an instruction cannot run elsewhere. */
export type UnmovableReason =
  /** It would wait in the copy for an unknown time, so that the copy's memory could never be used again. */
  | 'system-call'
  | 'interrupt'
  | 'transaction'
  /** A form of branch or address that processors disagree about (16-bit branches, 32-bit addresses). */
  | 'odd-form'
  /** Its target is more than 2 GiB from the copy. */
  | 'out-of-reach';

/** Thrown for an instruction that cannot be moved. */
export class UnmovableInstruction extends Error {
  readonly reason: UnmovableReason;

  constructor(reason: UnmovableReason, { address }: CodeInstruction) {
    super(`Cannot move the instruction at 0x${address.toString(16)}: ${reason}`);
    this.name = 'UnmovableInstruction';
    this.reason = reason;
  }
}

/** Bytes that grow: code that is put together front to back. */
class Assembly {
  readonly #bytes: number[] = [];
  readonly #address: number;
  readonly #source: CodeInstruction;

  constructor(address: number, source: CodeInstruction) {
    this.#address = address;
    this.#source = source;
  }

  get bytes(): Uint8Array {
    return Uint8Array.from(this.#bytes);
  }

  put(...bytes: readonly number[]): this {
    this.#bytes.push(...bytes);
    return this;
  }

  /** A 32-bit distance from behind itself, and `behind` bytes more, to a target. */
  distance(target: number, behind = 0): this {
    const distance = target - (this.#address + this.#bytes.length + 4 + behind);
    if (distance !== (distance | 0)) throw new UnmovableInstruction('out-of-reach', this.#source);
    return this.put(
      distance & 0xff,
      (distance >> 8) & 0xff,
      (distance >> 16) & 0xff,
      (distance >> 24) & 0xff,
    );
  }

  /** 64 bits. */
  constant(value: number): this {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
    return this.put(...bytes);
  }
}

/**
 * Rewrites one instruction. What it becomes ends where the next one's copy may begin.
 *
 * @param instruction the original
 * @param destination where the copy will stand
 * @throws {UnmovableInstruction} if it cannot run there
 */
export function relocate(instruction: CodeInstruction, destination: number): Uint8Array {
  const assembly = new Assembly(destination, instruction);
  const { flow, target, bytes } = instruction;
  switch (flow) {
    case 'next':
    case 'return':
    case 'indirect-jump':
      return copy(assembly, instruction).bytes;
    case 'jump':
      checkForm(instruction);
      return assembly.put(0xe9).distance(target ?? 0).bytes;
    case 'branch':
      checkForm(instruction);
      return assembly.put(0x0f, 0x80 | conditionOf(bytes)).distance(target ?? 0).bytes;
    case 'loop':
      return relocateLoop(assembly, instruction).bytes;
    case 'call':
      checkForm(instruction);
      // push constant; jmp target; the constant.
      return assembly
        .put(0xff, 0x35)
        .distance(destination + 11)
        .put(0xe9)
        .distance(target ?? 0)
        .constant(instruction.address + instruction.length).bytes;
    case 'indirect-call':
      return relocateIndirectCall(assembly, instruction, destination).bytes;
    default:
      throw new UnmovableInstruction(flow, instruction);
  }
}

/**
 * Rewrites several instructions that follow each other.
 *
 * @param instructions the originals
 * @param destination where the first copy will stand
 * @throws {UnmovableInstruction} if one cannot run there
 */
export function relocateAll(instructions: readonly CodeInstruction[], destination: number): Uint8Array {
  const copies: Uint8Array[] = [];
  let address = destination;
  for (const instruction of instructions) {
    const bytes = relocate(instruction, address);
    copies.push(bytes);
    address += bytes.length;
  }
  return Buffer.concat(copies);
}

function copy(assembly: Assembly, instruction: CodeInstruction): Assembly {
  const { bytes, displacementAt, memoryTarget, length } = instruction;
  if (displacementAt === undefined || memoryTarget === undefined) return assembly.put(...bytes);
  // With 32-bit addresses the sum is cut off at 4 GiB, wherever the copy is.
  if (prefixesOf(bytes).includes(ADDRESS_SIZE)) throw new UnmovableInstruction('odd-form', instruction);
  return assembly
    .put(...bytes.subarray(0, displacementAt))
    .distance(memoryTarget, length - displacementAt - 4)
    .put(...bytes.subarray(displacementAt + 4));
}

/** Intel ignores an operand size of 16 bits on branches, AMD cuts the target. */
function checkForm(instruction: CodeInstruction): void {
  if (prefixesOf(instruction.bytes).includes(OPERAND_SIZE))
    throw new UnmovableInstruction('odd-form', instruction);
}

/** The condition of `7x` and `0f 8x`: the low four bits of the opcode. */
function conditionOf(bytes: Uint8Array): number {
  const opcode = prefixesOf(bytes).length;
  return (bytes[opcode] === 0x0f ? (bytes[opcode + 1] ?? 0) : (bytes[opcode] ?? 0)) & 15;
}

/** `loop +2; jmp behind; jmp target`: the loop reaches over the jump that ends it. */
function relocateLoop(assembly: Assembly, instruction: CodeInstruction): Assembly {
  const { bytes, target } = instruction;
  checkForm(instruction);
  return assembly.put(...bytes.subarray(0, -1), 2, 0xeb, 5, 0xe9).distance(target ?? 0);
}

/** `push constant; jmp *operand; the constant`: the operand's call becomes a jump (`ff /2` and `ff /4`). */
function relocateIndirectCall(
  assembly: Assembly,
  instruction: CodeInstruction,
  destination: number,
): Assembly {
  const { bytes, address, length, displacementAt, memoryTarget } = instruction;
  checkForm(instruction);
  const opcode = prefixesOf(bytes).length;
  const modrm = bytes[opcode + 1] ?? 0;
  if (bytes[opcode] !== 0xff || ((modrm >> 3) & 7) !== 2)
    throw new UnmovableInstruction('odd-form', instruction);
  if (prefixesOf(bytes).includes(ADDRESS_SIZE) || usesStackPointer(bytes, opcode)) {
    throw new UnmovableInstruction('odd-form', instruction);
  }
  const jump = Uint8Array.from(bytes);
  jump[opcode + 1] = modrm ^ ((2 ^ 4) << 3);
  assembly.put(0xff, 0x35).distance(destination + 6 + length);
  copy(assembly, { ...instruction, bytes: jump, displacementAt, memoryTarget });
  return assembly.constant(address + length);
}

/** Whether an operand is told by the stack pointer, which the push before it has moved. */
function usesStackPointer(bytes: Uint8Array, opcode: number): boolean {
  const modrm = bytes[opcode + 1] ?? 0;
  const last = bytes[opcode - 1] ?? 0;
  const rex = opcode > 0 && isRex(last) ? last : 0;
  if ((rex & 1) !== 0 || (modrm & 7) !== 4) return false;
  const isRegister = modrm >> 6 === 3;
  return isRegister || ((bytes[opcode + 2] ?? 0) & 7) === 4;
}
