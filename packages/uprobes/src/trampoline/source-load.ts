/** Code of a trampoline that loads where a fetch argument begins: the program's registers as they were at the hit, and constants. */

import type { ReturnSite } from '../code/return-sites.ts';
import type { FetchSource } from '../definition/fetch-argument.ts';
import type { General, MachineCode } from './machine-code.ts';
import { type SavedRegisters, savedRegisters } from './saved-registers.ts';

/** Which register of the program a definition's name means. */
const PROGRAM_REGISTERS: Readonly<Record<string, General>> = {
  ax: 'rax',
  bx: 'rbx',
  cx: 'rcx',
  dx: 'rdx',
  si: 'rsi',
  di: 'rdi',
  bp: 'rbp',
  ...Object.fromEntries(
    (['r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'] as const).map((name) => [name, name]),
  ),
};

/** What user programs have in these, always. */
const CONSTANT_REGISTERS: Readonly<Record<string, bigint>> = { cs: 0x33n, ss: 0x2bn, orig_ax: -1n };

/** What sources mean at a place. */
export interface SourcePlace {
  readonly probeAddress: number;
  /** If the place is a `ret`. */
  readonly returning?: Pick<ReturnSite, 'poppedBytes'>;
  /** Where the probed file's offset 0 is mapped, for `@+OFFSET`. */
  readonly fileBase: bigint;
}

/** Appends code that leaves a source's value in rax, whole; of the others it changes rcx at most. */
export function appendSourceLoad(code: MachineCode, source: FetchSource, place: SourcePlace): void {
  const saved = savedRegisters(place.returning);
  switch (source.kind) {
    case 'register':
      appendRegister(code, source.register, place, saved);
      break;
    case 'stack-pointer':
      code.lea('rax', { base: 'rsp', displacement: saved.stackPointer });
      break;
    case 'return-value':
      appendProgramRegister(code, 'rax', saved);
      break;
    case 'stack':
      code.lea('rax', { base: 'rsp', displacement: saved.stackPointer });
      appendOffset(code, source.index * 8n);
      break;
    case 'immediate':
      code.constant('rax', source.value);
      break;
    case 'address':
      code.constant('rax', source.address);
      break;
    case 'file-offset':
      code.constant('rax', place.fileBase + source.offset);
      break;
    default:
      code.constant('rax', 0n);
  }
}

/** Appends code that adds to rax; it changes rcx if the offset is large. */
export function appendOffset(code: MachineCode, offset: bigint): void {
  if (offset === 0n) return;
  if (offset === BigInt.asIntN(32, offset)) code.registerInt(0x81, 0, 'rax', Number(offset));
  else code.constant('rcx', offset).registers([0x01], 'rax', 'rcx');
}

function appendRegister(code: MachineCode, name: string, place: SourcePlace, saved: SavedRegisters): void {
  const constant = CONSTANT_REGISTERS[name];
  const register = PROGRAM_REGISTERS[name];
  if (constant !== undefined) code.constant('rax', constant);
  else if (name === 'ip') appendInstructionPointer(code, place, saved);
  else if (name === 'sp') code.lea('rax', { base: 'rsp', displacement: saved.stackPointer });
  else if (name === 'flags') code.load('rax', { base: 'rsp', displacement: saved.flags });
  else if (register !== undefined) appendProgramRegister(code, register, saved);
}

/** A return is told as its caller sees it. */
function appendInstructionPointer(
  code: MachineCode,
  { returning, probeAddress }: SourcePlace,
  { stackTop }: SavedRegisters,
): void {
  if (returning === undefined) code.constant('rax', BigInt(probeAddress));
  else code.load('rax', { base: 'rsp', displacement: stackTop });
}

function appendProgramRegister(code: MachineCode, register: General, { registers }: SavedRegisters): void {
  const offset = registers.get(register);
  if (offset === undefined) code.move('rax', register);
  else code.load('rax', { base: 'rsp', displacement: offset });
}
