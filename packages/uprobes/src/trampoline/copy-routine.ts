/**
 * The routine by which trampolines read the program's memory: it never faults, whatever the address.
 *
 * The page that the stack pointer is in is surely there, since something was just pushed, and is read directly. Other
 * memory is copied by the kernel (process_vm_readv(2) on the process itself), which tells of a missing page instead of
 * faulting, and cannot be overtaken by another thread's munmap. That costs a system call.
 */

import { GENERAL_REGISTERS } from '@usertrace/abi';
import { CONDITION, type MachineCode } from './machine-code.ts';

/** The routine's label. */
export const COPY_ROUTINE = 'copy';

/** The number of process_vm_readv. */
const PROCESS_VM_READV = 310;

/**
 * Appends the routine. It copies rdx bytes from rsi to r8 and leaves in rax how many it copied, or a negative number;
 * rdi stays, and rcx, rdx, rsi, r8 to r11 do not.
 *
 * @param code where it is appended, behind what never runs on into it
 * @param processIdAddress a 32-bit word that has the process's own id: a fork's child must not read its parent
 */
export function appendCopyRoutine(code: MachineCode, processIdAddress: number): void {
  code.label(COPY_ROUTINE);
  code.lea('rax', { base: 'rsi', displacement: -1 }).registers([0x01], 'rax', 'rdx'); // its last byte
  code
    .registers([0x31], 'rax', 'rsp')
    .registerInt(0x81, 7, 'rax', 4096)
    .jumpIf(CONDITION.aboveOrEqual, 'ask');
  code.move('rax', 'rsi').registers([0x31], 'rax', 'rsp').registerInt(0x81, 7, 'rax', 4096);
  code.jumpIf(CONDITION.aboveOrEqual, 'ask');
  code.move('rcx', 'rdx').label('byte');
  code.raw(0x0f, 0xb6, 0x44, 0x0e, 0xff); // movzx eax, byte [rsi+rcx-1]
  code.raw(0x41, 0x88, 0x44, 0x08, 0xff); // mov [r8+rcx-1], al
  code.registerByte(0x83, 5, 'rcx', 1).jumpIf(CONDITION.notEqual, 'byte'); // sub
  code.move('rax', 'rdx').raw(0xc3);

  // Three iovecs on the stack: ours, and the other side's in two, so that what is before a missing page is copied.
  code.label('ask').push('rdi').lea('rsp', { base: 'rsp', displacement: -56 });
  code.store({ base: 'rsp', displacement: 0 }, 'r8').store({ base: 'rsp', displacement: 8 }, 'rdx');
  code.move('rax', 'rsi').registerInt(0x81, 4, 'rax', 4095).raw(0x48, 0xf7, 0xd8); // and, neg
  code.registerInt(0x81, 0, 'rax', 4096).registers([0x39], 'rax', 'rdx'); // add, cmp
  code.jumpIf(CONDITION.below, 'cut').move('rax', 'rdx').label('cut');
  code.store({ base: 'rsp', displacement: 16 }, 'rsi').store({ base: 'rsp', displacement: 24 }, 'rax');
  code.registers([0x01], 'rsi', 'rax').registers([0x29], 'rdx', 'rax'); // add, sub
  code.store({ base: 'rsp', displacement: 32 }, 'rsi').store({ base: 'rsp', displacement: 40 }, 'rdx');
  code.withMemory32([0x8b], GENERAL_REGISTERS.rdi, { at: processIdAddress });
  code.move('rsi', 'rsp').constant('rdx', 1n).lea('r10', { base: 'rsp', displacement: 16 });
  code.constant('r8', 2n).raw(0x45, 0x31, 0xc9); // xor r9d, r9d
  code.constant('rax', BigInt(PROCESS_VM_READV)).raw(0x0f, 0x05); // syscall
  code.lea('rsp', { base: 'rsp', displacement: 56 }).pop('rdi').raw(0xc3);
}
