/**
 * A seccomp filter that makes some system calls stop for the tracer and lets all others run at full speed
 * (seccomp(2), "BPF-based"): classic BPF over `struct seccomp_data`, whose u32 at 0 is the call's number and at 4 the
 * architecture. Numbers are compared by binary search, so that 100 names cost seven comparisons a call and not 100.
 */
import { assert } from '@usertrace/base';
import { AUDIT_ARCH_X86_64 } from './system-call-stop.ts';

const LOAD_WORD = 0x20;
const JUMP_EQUAL = 0x15;
const JUMP_GREATER_EQUAL = 0x35;
const RETURN = 0x06;
const SECCOMP_RET_TRACE = 0x7ff0_0000;
const SECCOMP_RET_ALLOW = 0x7fff_0000;
const INSTRUCTION_BYTES = 8;

/** Jumps of BPF reach 255 instructions; with so many calls the tree below stays within that. */
export const MAX_FILTERED_CALLS = 120;

type Instruction = readonly [code: number, ifTrue: number, ifFalse: number, operand: number];

/** A tree of comparisons that ends in TRACE for these numbers and in ALLOW for others. */
function search(sorted: readonly number[]): Instruction[] {
  if (sorted.length === 1) {
    return [
      [JUMP_EQUAL, 0, 1, sorted[0] as number],
      [RETURN, 0, 0, SECCOMP_RET_TRACE],
      [RETURN, 0, 0, SECCOMP_RET_ALLOW],
    ];
  }
  const middle = sorted.length >> 1;
  const below = search(sorted.slice(0, middle));
  const above = search(sorted.slice(middle));
  if (below.length > 255) {
    // The far half is reached by an unconditional jump, whose operand has 32 bits (BPF_JMP | BPF_JA).
    return [
      [JUMP_GREATER_EQUAL, 0, 1, sorted[middle] as number],
      [0x05, 0, 0, below.length],
      ...below,
      ...above,
    ];
  }
  return [[JUMP_GREATER_EQUAL, below.length, 0, sorted[middle] as number], ...below, ...above];
}

/**
 * The program of a filter, an array of `struct sock_filter` (u16 code, u8 jt, u8 jf, u32 k).
 *
 * Calls of other architectures (32-bit programs) run and do not stop.
 *
 * @param numbers of the system calls that stop, at least one and at most MAX_FILTERED_CALLS
 */
export function seccompFilter(numbers: readonly number[]): Uint8Array {
  const sorted = [...new Set(numbers)].toSorted((a, b) => a - b);
  assert(sorted.length > 0 && sorted.length <= MAX_FILTERED_CALLS, 'a filter has a bounded number of calls');
  const program: Instruction[] = [
    [LOAD_WORD, 0, 0, 4],
    [JUMP_EQUAL, 1, 0, AUDIT_ARCH_X86_64],
    [RETURN, 0, 0, SECCOMP_RET_ALLOW],
    [LOAD_WORD, 0, 0, 0],
    ...search(sorted),
  ];
  const view = new DataView(new ArrayBuffer(program.length * INSTRUCTION_BYTES));
  for (const [index, [code, ifTrue, ifFalse, operand]] of program.entries()) {
    view.setUint16(index * INSTRUCTION_BYTES, code, true);
    view.setUint8(index * INSTRUCTION_BYTES + 2, ifTrue);
    view.setUint8(index * INSTRUCTION_BYTES + 3, ifFalse);
    view.setUint32(index * INSTRUCTION_BYTES + 4, operand, true);
  }
  return new Uint8Array(view.buffer);
}
