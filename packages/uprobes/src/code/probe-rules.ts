/**
 * Where a breakpoint may be put at all: the kernel's rules for uprobes on x86-64, which `tests/native/kernel-probes.txt`
 * has recorded from a real one. What the kernel refuses is refused, and so is what our disassembler does not know.
 */

import { disassemble, type Flow } from './instruction.ts';
import { OPERAND_SIZE, prefixesOf } from './prefixes.ts';

/** Why no probe can be put on an instruction. */
export type RefusalReason =
  /** The bytes are no instruction that is known. */
  | 'invalid-instruction'
  /** A segment or lock prefix, or a 16-bit branch: running it out of line is not sure to be the same. */
  | 'prefix'
  /** Input, output, interrupt flags, halt: user programs must not. */
  | 'privileged'
  /** The program's own breakpoint or software interrupt. */
  | 'software-interrupt';

const REFUSED_PREFIXES: ReadonlySet<number> = new Set([0x26, 0x2e, 0x36, 0x3e, 0xf0]);
/** Branches that are emulated, and of which only the 32-bit form is. */
const EMULATED: ReadonlySet<Flow> = new Set<Flow>(['jump', 'branch', 'call']);

/** Refused opcodes of one byte: in, out, ins, outs, iret, hlt, cli, sti; int3, int, int1. */
const REFUSED_OPCODES: ReadonlyMap<number, RefusalReason> = new Map([
  ...[0x6c, 0x6d, 0x6e, 0x6f, 0xe4, 0xe5, 0xe6, 0xe7, 0xec, 0xed, 0xee, 0xef].map(privileged),
  ...[0xcf, 0xf4, 0xfa, 0xfb].map(privileged),
  ...[0xcc, 0xcd, 0xf1].map((opcode): [number, RefusalReason] => [opcode, 'software-interrupt']),
]);

function privileged(opcode: number): [number, RefusalReason] {
  return [opcode, 'privileged'];
}

/**
 * Whether a probe may be put on an instruction.
 *
 * @param code bytes that begin with it, as many as there are up to INSTRUCTION_BYTES_MAX
 * @returns why not, or undefined if it may
 */
export function probeRefusal(code: Uint8Array): RefusalReason | undefined {
  const prefixes = prefixesOf(code);
  if (prefixes.some((prefix) => REFUSED_PREFIXES.has(prefix))) return 'prefix';
  const [instruction] = disassemble(code, 0, 1).instructions;
  if (instruction === undefined) return 'invalid-instruction';
  if (EMULATED.has(instruction.flow) && prefixes.includes(OPERAND_SIZE)) return 'prefix';
  return REFUSED_OPCODES.get(code[prefixes.length] ?? 0);
}
