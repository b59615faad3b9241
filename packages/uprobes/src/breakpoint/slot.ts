/**
 * Out-of-line slots: where the instruction under a breakpoint runs instead. A slot is the instruction as relocation writes it, and
 * a jump to the one behind it. Any number of threads may be in it at the same time; nobody has to stop them there.
 *
 * A slot is never written over, moved or unmapped while its program lives: a thread that was in it when the probe went away, or
 * when the tracer was killed, finds its way back.
 */

import { disassemble, INSTRUCTION_BYTES_MAX } from '../code/instruction.ts';
import { probeRefusal } from '../code/probe-rules.ts';
import { relocateAll } from '../code/relocation.ts';

/** The bytes of a slot in its page. */
export const SLOT_BYTES = 64;

/** Bytes of memory for slots that are mapped at a time. */
export const SLOT_PAGE_BYTES = 4096;

/** A slot may be so far from the instruction: less than the 2 GiB that its distances reach. */
export const REACH = 0x7000_0000;

/** One instruction's slot. */
export interface Slot {
  /** Where the instruction stands, and is to be probed. */
  readonly instruction: number;
  /** Its first byte, which the breakpoint replaces. */
  readonly firstByte: number;
  /** Where the slot stands. */
  readonly address: number;
  readonly bytes: Uint8Array;
}

/**
 * @param code the instruction without breakpoints, and what follows, INSTRUCTION_BYTES_MAX if there are so many
 * @param instruction where it stands
 * @param address where the slot will stand
 * @throws {Error} when it may not be probed or moved, saying why
 */
export function makeSlot(code: Uint8Array, instruction: number, address: number): Slot {
  const refusal = probeRefusal(code);
  const [first] = disassemble(code.subarray(0, INSTRUCTION_BYTES_MAX), instruction, 1).instructions;
  if (refusal !== undefined || first === undefined)
    throw new Error(`Cannot probe the instruction at 0x${instruction.toString(16)}: ${refusal}`);
  const moved = relocateAll([first], address);
  const jump = Buffer.alloc(14);
  // jmp [rip]; the address.
  jump.set([0xff, 0x25]);
  jump.writeBigUInt64LE(BigInt(instruction + first.length), 6);
  return { instruction, firstByte: code[0] ?? 0, address, bytes: Buffer.concat([moved, jump]) };
}
