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
import type { Mapping } from './process-maps.ts';

/** The bytes of a slot in its page. */
export const SLOT_BYTES = 64;

/** Bytes of memory for slots that are mapped at a time. */
export const SLOT_PAGE_BYTES = 4096;

/** A slot may be so far from the instruction: less than the 2 GiB that its distances reach. */
export const REACH = 0x7000_0000;
/** Programs may map nothing below (vm.mmap_min_addr). */
const LOWEST = 0x1_0000;
const HIGHEST = 0x7fff_ffff_0000;

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

/**
 * Where a page for slots can be mapped.
 *
 * @param mappings of the address space, in their order
 * @param instruction that the slots must be near to
 * @returns an address with SLOT_PAGE_BYTES free bytes, undefined if there is none in reach
 */
export function findSlotPage(mappings: readonly Mapping[], instruction: number): number | undefined {
  const lowest = Math.max(LOWEST, instruction - REACH);
  const highest = Math.min(HIGHEST, instruction + REACH);
  let end = LOWEST;
  let best: number | undefined;
  for (const mapping of [...mappings, { start: HIGHEST, end: HIGHEST }]) {
    // The last page before a mapping, unless a stack may grow into it: those are far from code.
    const page = Math.min(mapping.start, highest) - SLOT_PAGE_BYTES * 2;
    const isFree = page >= end + SLOT_PAGE_BYTES && page >= lowest;
    const aligned = page - (page % SLOT_PAGE_BYTES);
    if (isFree && (best === undefined || Math.abs(aligned - instruction) < Math.abs(best - instruction)))
      best = aligned;
    end = Math.max(end, mapping.end);
  }
  return best;
}
