/**
 * What a trampoline saves of the program on its stack, and where that is while a hit's arguments are fetched. From the stack pointer
 * up: a word of the trampoline's own (the probe's number, then the slot's sequence), SAVED_THEN, the flags, SAVED_FIRST, and the red
 * zone, which is left alone.
 */

import type { ReturnSite } from '../code/return-sites.ts';
import type { General } from './machine-code.ts';

/** Bytes below the stack pointer that leaf functions use without moving it (System V ABI). */
export const RED_ZONE = 128;
/** Saved before the gate is looked at. */
export const SAVED_FIRST: readonly General[] = ['rax', 'rcx', 'rdx'];
/** Saved for a hit that is recorded, of which a system call changes the last three. */
export const SAVED_THEN: readonly General[] = ['rsi', 'rdi', 'r8', 'r9', 'r10', 'r11'];

const WORD_BYTES = 8;

/** Offsets from the stack pointer while arguments are fetched. */
export interface SavedRegisters {
  /** Of the saved ones; the others still are as the program has them. */
  readonly registers: ReadonlyMap<General, number>;
  readonly flags: number;
  /** Where the stack pointer was when the trampoline began: at a `ret` the return address is there. */
  readonly stackTop: number;
  /** What the program takes for its stack pointer: after the `ret` of a return. */
  readonly stackPointer: number;
}

/** @param returning of a return's trampoline */
export function savedRegisters(returning: Pick<ReturnSite, 'poppedBytes'> | undefined): SavedRegisters {
  const registers = new Map<General, number>();
  let offset = WORD_BYTES;
  for (const register of SAVED_THEN.toReversed()) {
    registers.set(register, offset);
    offset += WORD_BYTES;
  }
  const flags = offset;
  offset += WORD_BYTES;
  for (const register of SAVED_FIRST.toReversed()) {
    registers.set(register, offset);
    offset += WORD_BYTES;
  }
  const stackTop = offset + RED_ZONE;
  // A `ret` takes the return address, and what it is told to pop.
  const popped = returning === undefined ? 0 : WORD_BYTES + returning.poppedBytes;
  return { registers, flags, stackTop, stackPointer: stackTop + popped };
}
