/**
 * Code that finds out which thread runs a trampoline. The C library keeps a thread's id in the thread's control block, to which FS
 * points; but a program may have FS point anywhere, and a child that was made past the C library has its parent's id there. So a
 * thread's FS base is looked at once, with system calls, and kept in a table if the id in its block is true. After that an id costs
 * a lookup and a load. The table is in memory that a fork's child finds zeroed (MADV_WIPEONFORK).
 *
 * A child of vfork shares its parent's memory and FS base, and so has its parent's id, until it executes.
 */

import { GENERAL_REGISTERS, systemCallNumber } from '@usertrace/abi';
import { COPY_ROUTINE } from './copy-routine.ts';
import { CONDITION, type MachineCode } from './machine-code.ts';

/** Offsets in the words of a process: two pages, all zero in a new process and in a fork's child. */
export const PROCESS_WORDS = {
  /** u32: the process's id, once a hit has asked for it. */
  processId: 0,
  /** FS bases whose blocks tell the thread's id; with bit 0 those whose blocks do not, so that it is asked for each time. */
  threads: 4096,
  size: 8192,
} as const;

/** The routine's label. */
const IDENTITY_ROUTINE = 'identity';

/** Where glibc on x86-64 has the thread's id, behind the thread pointer. Others have something else there, which is noticed. */
const THREAD_ID_OFFSET = 0x2d0;
/** 512 entries of 8 bytes; an FS base is looked for in two neighbours. */
const TABLE_SHIFT = 9;
/** 2^64 divided by the golden ratio: its product's upper bits are well spread, since threads' blocks are 8 MiB apart. */
const HASH_FACTOR = 0x9e37_79b9_7f4a_7c15n;
const CALL = { getpid: systemCallNumber('getpid'), gettid: systemCallNumber('gettid') } as const;

/**
 * Appends code that leaves the thread's id in r9. It changes rax, rcx, rdx, rsi, r8 and r11; rdi and r10 stay.
 *
 * @param words the address of PROCESS_WORDS
 * @param prefix of its labels
 */
export function appendThreadIdentity(code: MachineCode, words: number, prefix: string): void {
  code.raw(0xf3, 0x48, 0x0f, 0xae, 0xc2); // rdfsbase rdx
  code.constant('rcx', HASH_FACTOR).raw(0x48, 0x0f, 0xaf, 0xca); // imul rcx, rdx
  code.registerByte(0xc1, 5, 'rcx', 64 - TABLE_SHIFT).registerByte(0xc1, 4, 'rcx', 3); // shr, shl
  code.lea('rax', { at: words + PROCESS_WORDS.threads }).registers([0x01], 'rcx', 'rax');
  code
    .withMemory([0x3b], GENERAL_REGISTERS.rdx, { base: 'rcx', displacement: 0 })
    .jumpIf(CONDITION.equal, `${prefix}known`);
  code.registerByte(0x83, 6, 'rcx', 8); // xor: the neighbour
  code
    .withMemory([0x3b], GENERAL_REGISTERS.rdx, { base: 'rcx', displacement: 0 })
    .jumpIf(CONDITION.equal, `${prefix}known`);
  code.call(IDENTITY_ROUTINE).jump(`${prefix}told`);
  code.label(`${prefix}known`).raw(0x64, 0x44, 0x8b, 0x0c, 0x25).int32(THREAD_ID_OFFSET); // mov r9d, fs:[...]
  code.label(`${prefix}told`);
}

/**
 * Appends the routine for an FS base that is not known: rdx has it, rcx the second of its entries. It asks for the process's id as
 * well if that is not known. Needs the copy routine.
 *
 * @param words the address of PROCESS_WORDS
 */
export function appendIdentityRoutine(code: MachineCode, words: number): void {
  const processId = { at: words + PROCESS_WORDS.processId };
  code.label(IDENTITY_ROUTINE).push('rdi').push('r10').push('rcx').push('rdx');
  code.withMemory32([0x8b], GENERAL_REGISTERS.rax, processId).raw(0x85, 0xc0); // test eax, eax
  code.jumpIf(CONDITION.notEqual, 'process-known').constant('rax', BigInt(CALL.getpid)).raw(0x0f, 0x05);
  code.withMemory32([0x89], GENERAL_REGISTERS.rax, processId).label('process-known');
  code.constant('rax', BigInt(CALL.gettid)).raw(0x0f, 0x05).push('rax');
  // Is it one whose block does not tell?
  code.load('rdx', { base: 'rsp', displacement: 8 }).load('rcx', { base: 'rsp', displacement: 16 });
  code.registerByte(0x83, 1, 'rdx', 1); // or
  code
    .withMemory([0x3b], GENERAL_REGISTERS.rdx, { base: 'rcx', displacement: 0 })
    .jumpIf(CONDITION.equal, 'asked');
  code
    .registerByte(0x83, 6, 'rcx', 8)
    .withMemory([0x3b], GENERAL_REGISTERS.rdx, { base: 'rcx', displacement: 0 });
  code.jumpIf(CONDITION.equal, 'asked');
  code.load('rsi', { base: 'rsp', displacement: 8 }).registerInt(0x81, 0, 'rsi', THREAD_ID_OFFSET);
  code.push('rax').constant('rdx', 4n).move('r8', 'rsp').call(COPY_ROUTINE).pop('rsi');
  code.load('rdx', { base: 'rsp', displacement: 8 }).load('rcx', { base: 'rsp', displacement: 16 });
  code.registerByte(0x83, 7, 'rax', 4).jumpIf(CONDITION.notEqual, 'not-told'); // cmp
  code
    .withMemory32([0x3b], GENERAL_REGISTERS.rsi, { base: 'rsp', displacement: 0 })
    .jumpIf(CONDITION.equal, 'keep');
  code.label('not-told').registerByte(0x83, 1, 'rdx', 1); // or
  // The first neighbour, unless that one is taken: then this one, whatever was there.
  code.label('keep').registerByte(0x83, 6, 'rcx', 8);
  code.memoryImmediate([0x81], 7, { base: 'rcx', displacement: 0 }, 0, true); // cmp
  code.jumpIf(CONDITION.equal, 'store').registerByte(0x83, 6, 'rcx', 8).label('store');
  code.store({ base: 'rcx', displacement: 0 }, 'rdx');
  code.label('asked').pop('r9').pop('rdx').pop('rcx').pop('r10').pop('rdi').raw(0xc3);
}
