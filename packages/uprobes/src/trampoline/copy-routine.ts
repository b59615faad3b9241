/**
 * The routines by which trampolines read the program's memory. They never fault, whatever the address is and whatever other threads do.
 *
 * What certainly stays mapped is read directly: the page that the stack pointer is in, since something was just pushed there, and the
 * ranges that the trampoline's maker is certain of (process/certain-memory.ts). All other memory is copied by the kernel
 * (process_vm_readv(2) on the process itself), which tells of a missing page instead of faulting, and cannot be overtaken by another
 * thread's munmap. That costs a system call.
 */

import { GENERAL_REGISTERS } from '@usertrace/abi';
import { CONDITION, type MachineCode } from './machine-code.ts';

/** Memory that stays mapped and readable for as long as the trampoline exists. */
export interface CertainMemory {
  readonly start: number;
  /** The first address behind it. */
  readonly end: number;
}

/** Copies rdx bytes from rsi to r8. */
export const COPY_ROUTINE = 'copy';
/**
 * Copies an array: rdx bytes from rsi to r8, of items of r9 bytes. An item is there as far as it can be read from its first byte on,
 * as if each were copied by itself; zeros are in place of the rest.
 */
export const ITEMS_ROUTINE = 'items';
/** Leaves 0 in eax if the rdx bytes at rsi are certain; it changes rcx. */
export const CERTAIN_ROUTINE = 'certain';
/** Has the kernel copy rdx bytes from rsi to r8. */
export const ASK_ROUTINE = 'ask';

/** The number of process_vm_readv. */
const PROCESS_VM_READV = 310;
const PAGE_BYTES = 4096;
/** The most that a comparison with a signed number of 32 bits takes. */
const RANGE_BYTES_MAX = 0x7fff_f000;

/**
 * Appends the routines. `copy` leaves in rax how many bytes it copied, or a negative number, and zeros behind them; so does `ask`, but
 * without zeros. `items` leaves in rax how many bytes there were in all. `copy` changes rcx, rsi, r8 and r11, `items` rdx as well,
 * `ask` only rcx and r11.
 *
 * @param code where they are appended, behind what never runs on into them
 * @param processIdAddress a 32-bit word that has the process's own id: a fork's child must not read its parent
 * @param certain in the order in which it is looked through
 */
export function appendCopyRoutine(
  code: MachineCode,
  processIdAddress: number,
  certain: readonly CertainMemory[],
): void {
  appendCopy(code);
  appendItems(code);
  appendCertain(code, certain);
  appendAsk(code, processIdAddress);
}

function appendCopy(code: MachineCode): void {
  code.label(COPY_ROUTINE).call(CERTAIN_ROUTINE).raw(0x85, 0xc0); // test eax, eax
  code.jumpIf(CONDITION.notEqual, 'copy-asking').move('rcx', 'rdx');
  code.label('copy-words').registerByte(0x83, 5, 'rcx', 8).jumpIf(CONDITION.below, 'copy-rest'); // sub
  code.load('rax', { base: 'rsi', displacement: 0 }).store({ base: 'r8', displacement: 0 }, 'rax');
  code.registerByte(0x83, 0, 'rsi', 8).registerByte(0x83, 0, 'r8', 8).jump('copy-words'); // add
  code.label('copy-rest').registerByte(0x83, 0, 'rcx', 8).jumpIf(CONDITION.equal, 'copied'); // add
  code.label('copy-byte');
  code.raw(0x0f, 0xb6, 0x44, 0x0e, 0xff); // movzx eax, byte [rsi+rcx-1]
  code.raw(0x41, 0x88, 0x44, 0x08, 0xff); // mov [r8+rcx-1], al
  code.registerByte(0x83, 5, 'rcx', 1).jumpIf(CONDITION.notEqual, 'copy-byte'); // sub
  code.label('copied').move('rax', 'rdx').raw(0xc3);

  code.label('copy-asking').call(ASK_ROUTINE);
  code.move('rcx', 'rax').registers([0x85], 'rcx', 'rcx').jumpIf(CONDITION.notNegative, 'zero'); // test
  code.constant('rcx', 0n);
  code.label('zero').registers([0x39], 'rcx', 'rdx').jumpIf(CONDITION.aboveOrEqual, 'zeroed'); // cmp
  code.raw(0x41, 0xc6, 0x04, 0x08, 0x00); // mov byte [r8+rcx], 0
  code.registerByte(0x83, 0, 'rcx', 1).jump('zero').label('zeroed').raw(0xc3); // add
}

/** rbx is how many bytes were there, r12 what is read, r13 where it goes, r14 how much is left. */
function appendItems(code: MachineCode): void {
  const saved = ['rbx', 'r12', 'r13', 'r14'] as const;
  code.label(ITEMS_ROUTINE);
  for (const register of saved) code.push(register);
  code.constant('rbx', 0n).move('r12', 'rsi').move('r13', 'r8').move('r14', 'rdx');
  code.label('items-piece').move('rsi', 'r12').move('r8', 'r13').move('rdx', 'r14').call(COPY_ROUTINE);
  code.registers([0x85], 'rax', 'rax').jumpIf(CONDITION.notNegative, 'items-read').constant('rax', 0n); // test
  code.label('items-read').registers([0x01], 'rbx', 'rax').registers([0x39], 'rax', 'r14'); // add, cmp
  code.jumpIf(CONDITION.equal, 'items-done');
  // On with the first item that begins behind the page which is not there.
  code.registers([0x01], 'rax', 'r12').registerInt(0x81, 1, 'rax', PAGE_BYTES - 1); // add, or
  code.registerByte(0x83, 0, 'rax', 1).registers([0x29], 'rax', 'r12'); // add, sub
  code.registers([0x01], 'rax', 'r9').registerByte(0x83, 5, 'rax', 1); // add, sub
  code.move('rcx', 'r9').raw(0x48, 0xf7, 0xd9).registers([0x21], 'rax', 'rcx'); // neg rcx; and
  code.registers([0x29], 'r14', 'rax').jumpIf(CONDITION.belowOrEqual, 'items-done'); // sub
  code.registers([0x01], 'r12', 'rax').registers([0x01], 'r13', 'rax').jump('items-piece'); // add
  code.label('items-done').move('rax', 'rbx');
  for (const register of saved.toReversed()) code.pop(register);
  code.raw(0xc3);
}

function appendCertain(code: MachineCode, certain: readonly CertainMemory[]): void {
  code.label(CERTAIN_ROUTINE).raw(0x48, 0x8d, 0x44, 0x16, 0xff); // lea rax, [rsi+rdx-1]: the last byte
  code
    .registers([0x31], 'rax', 'rsp') // xor
    .registerInt(0x81, 7, 'rax', PAGE_BYTES) // cmp
    .jumpIf(CONDITION.aboveOrEqual, 'certain-0');
  code.move('rax', 'rsi').registers([0x31], 'rax', 'rsp').registerInt(0x81, 7, 'rax', PAGE_BYTES);
  code.jumpIf(CONDITION.below, 'is-certain');
  for (const [index, { start, end }] of certain.entries()) {
    const size = Math.min(end - start, RANGE_BYTES_MAX);
    code.label(`certain-${index}`).constant('rcx', BigInt(start));
    code.move('rax', 'rsi').registers([0x29], 'rax', 'rcx').registerInt(0x81, 7, 'rax', size); // sub, cmp
    code.jumpIf(CONDITION.aboveOrEqual, `certain-${index + 1}`);
    code.registers([0x01], 'rax', 'rdx').registerInt(0x81, 7, 'rax', size); // add, cmp
    code.jumpIf(CONDITION.belowOrEqual, 'is-certain');
  }
  code.label(`certain-${certain.length}`).constant('rax', 1n).raw(0xc3);
  code.label('is-certain').raw(0x31, 0xc0, 0xc3); // xor eax, eax; ret
}

function appendAsk(code: MachineCode, processIdAddress: number): void {
  // Three iovecs on the stack: ours, and the other side's in two, so that what is before a missing page is copied.
  const saved = ['rdi', 'rsi', 'rdx', 'r8', 'r9', 'r10'] as const;
  code.label(ASK_ROUTINE);
  for (const register of saved) code.push(register);
  code.lea('rsp', { base: 'rsp', displacement: -48 });
  code.store({ base: 'rsp', displacement: 0 }, 'r8').store({ base: 'rsp', displacement: 8 }, 'rdx');
  code.move('rax', 'rsi').registerInt(0x81, 1, 'rax', -PAGE_BYTES).raw(0x48, 0xf7, 0xd8); // or, neg: up to the page's end
  code.constant('r8', 2n).registers([0x39], 'rax', 'rdx').jumpIf(CONDITION.below, 'ask-crossing'); // cmp
  code.constant('r8', 1n).move('rax', 'rdx').label('ask-crossing');
  code.store({ base: 'rsp', displacement: 16 }, 'rsi').store({ base: 'rsp', displacement: 24 }, 'rax');
  code.registers([0x01], 'rsi', 'rax').registers([0x29], 'rdx', 'rax'); // add, sub
  code.store({ base: 'rsp', displacement: 32 }, 'rsi').store({ base: 'rsp', displacement: 40 }, 'rdx');
  code.withMemory32([0x8b], GENERAL_REGISTERS.rdi, { at: processIdAddress });
  code.move('rsi', 'rsp').constant('rdx', 1n).lea('r10', { base: 'rsp', displacement: 16 });
  code.raw(0x45, 0x31, 0xc9); // xor r9d, r9d
  code.constant('rax', BigInt(PROCESS_VM_READV)).raw(0x0f, 0x05); // syscall
  code.lea('rsp', { base: 'rsp', displacement: 48 });
  for (const register of saved.toReversed()) code.pop(register);
  code.raw(0xc3);
}
