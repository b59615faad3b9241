/**
 * Instructions as the analysis sees them: where one stands, where it may go, and what of it depends on its place.
 * They are plain values; nothing of WebAssembly's memory stays with them.
 */

import type { Instruction as IcedInstruction } from 'iced-x86';
import { disassembler, type Iced } from './disassembler.ts';

/** Where execution goes after an instruction. */
export type Flow =
  | 'next'
  | 'jump'
  | 'indirect-jump'
  /** Jumps or goes on: jcc. */
  | 'branch'
  /** Counts or looks at rcx and then jumps or goes on: loop, jrcxz. They reach 127 bytes only. */
  | 'loop'
  | 'call'
  | 'indirect-call'
  | 'return'
  | 'system-call'
  | 'interrupt'
  | 'transaction';

export interface CodeInstruction {
  /** Of its first byte. */
  readonly address: number;
  /** In bytes. */
  readonly length: number;
  readonly bytes: Uint8Array;
  readonly flow: Flow;
  /** Where a direct jump, branch or call goes. */
  readonly target: number | undefined;
  /** The address of a memory operand that is told relative to the instruction. */
  readonly memoryTarget: number | undefined;
  /** Where in the bytes the 32-bit distance to it stands. */
  readonly displacementAt: number | undefined;
}

/** Instructions of one stretch of code, and what stopped the reading before its end. */
export interface Disassembly {
  readonly instructions: readonly CodeInstruction[];
  /** The address of the first byte that begins no instruction, if there is one. */
  readonly undecodableAt: number | undefined;
}

/** Bytes of the longest instruction. */
export const INSTRUCTION_BYTES_MAX = 15;

function flowOf({ FlowControl, Mnemonic }: Iced, instruction: IcedInstruction): Flow {
  switch (instruction.flowControl) {
    case FlowControl.Next:
      return 'next';
    case FlowControl.UnconditionalBranch:
      return 'jump';
    case FlowControl.IndirectBranch:
      return 'indirect-jump';
    case FlowControl.ConditionalBranch:
      return instruction.isLoop || instruction.isLoopcc || instruction.isJcxShort ? 'loop' : 'branch';
    case FlowControl.Call:
      // System calls are calls to it.
      return instruction.isCallNear ? 'call' : 'system-call';
    case FlowControl.IndirectCall:
      return 'indirect-call';
    case FlowControl.Return:
      return instruction.mnemonic === Mnemonic.Ret ? 'return' : 'interrupt';
    case FlowControl.XbeginXabortXend:
      return 'transaction';
    default:
      return 'interrupt';
  }
}

/**
 * Reads instructions one behind the other.
 *
 * @param code the bytes, which are kept
 * @param address where they stand
 * @param bytesMax instructions that begin at or behind that many bytes are left out
 */
export function disassemble(code: Uint8Array, address: number, bytesMax: number = code.length): Disassembly {
  const iced = disassembler();
  const decoder = new iced.Decoder(64, code, iced.DecoderOptions.None);
  const current = new iced.Instruction();
  const instructions: CodeInstruction[] = [];
  try {
    decoder.ip = BigInt(address);
    for (let position = 0; position < Math.min(bytesMax, code.length); position = decoder.position) {
      decoder.decodeOut(current);
      if (current.isInvalid) return { instructions, undecodableAt: address + position };
      instructions.push(
        describe(iced, decoder, current, code.subarray(position, decoder.position), address + position),
      );
    }
    return { instructions, undecodableAt: undefined };
  } finally {
    current.free();
    decoder.free();
  }
}

function describe(
  iced: Iced,
  decoder: InstanceType<Iced['Decoder']>,
  current: IcedInstruction,
  bytes: Uint8Array,
  address: number,
): CodeInstruction {
  const flow = flowOf(iced, current);
  const isDirect = flow === 'jump' || flow === 'branch' || flow === 'loop' || flow === 'call';
  const isRelative = current.isIpRelMemoryOperand;
  const base = { address, length: bytes.length, bytes, flow };
  if (!isRelative) {
    const target = isDirect ? Number(current.nearBranchTarget) : undefined;
    return { ...base, target, memoryTarget: undefined, displacementAt: undefined };
  }
  const offsets = decoder.getConstantOffsets(current);
  const displacementAt = offsets.displacementOffset;
  offsets.free();
  return { ...base, target: undefined, memoryTarget: Number(current.ipRelMemoryAddress), displacementAt };
}
