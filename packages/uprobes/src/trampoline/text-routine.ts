/**
 * The routines by which trampolines copy texts, up to their end mark or to what the slot has room for, and put down their words
 * (TEXT_WORD). A text is taken in pieces that end at pages, so that one which ends before a missing page is read.
 */

import { ASK_ROUTINE, CERTAIN_ROUTINE, COPY_ROUTINE } from './copy-routine.ts';
import { CONDITION, type MachineCode } from './machine-code.ts';
import { TEXT_BYTES_MAX, TEXT_WORD } from './slot-layout.ts';

/**
 * One text. rsi has its address, r8 that of its word, rdi the slot, r9 the slot's end, and r10 where the text goes. r10 is moved behind it; eax
 * is 0, or 1 when the slot was too short. Changes rcx, rdx, rsi and r11 besides.
 */
export const TEXT_ROUTINE = 'text';
/** An array of rdx pointers to texts. Otherwise as for one text, but that r8 is changed, too; eax is 1 when one had no room. */
export const TEXTS_ROUTINE = 'texts';

/** What the kernel is asked for first, and most texts end in. */
const FIRST_PIECE_BYTES = 256;
const PAGE_BYTES = 4096;
/** Each byte's lowest bit. */
const ONES = 0x0101_0101_0101_0101n;
/** mov dword [r8+length], -1 */
const UNREADABLE = [0x41, 0xc7, 0x40, TEXT_WORD.length, 0xff, 0xff, 0xff, 0xff] as const;

/** Appends both. Needs the copy routine's. */
export function appendTextRoutines(code: MachineCode): void {
  appendText(code);
  appendTexts(code);
}

/** rbx is where its room ends, rbp where it is written, r12 where it is read. */
function appendText(code: MachineCode): void {
  code.label(TEXT_ROUTINE).push('rbx').push('rbp').push('r12');
  code.move('rcx', 'r10').registers([0x29], 'rcx', 'rdi'); // sub
  code.raw(0x41, 0x89, 0x48, TEXT_WORD.offset).raw(...UNREADABLE); // mov [r8+offset], ecx
  code.move('r12', 'rsi').move('rbp', 'r10').lea('rbx', { base: 'r10', displacement: TEXT_BYTES_MAX });
  code.registers([0x39], 'rbx', 'r9').jumpIf(CONDITION.belowOrEqual, 'text-piece').move('rbx', 'r9'); // cmp

  code.label('text-piece').move('rdx', 'rbx').registers([0x29], 'rdx', 'rbp'); // sub
  code.jumpIf(CONDITION.equal, 'text-no-end').move('rsi', 'r12');
  code.move('rax', 'rsi').registerInt(0x81, 1, 'rax', -PAGE_BYTES).raw(0x48, 0xf7, 0xd8); // or, neg: up to the page's end
  code.registers([0x39], 'rdx', 'rax').jumpIf(CONDITION.belowOrEqual, 'text-in-page').move('rdx', 'rax');
  code.label('text-in-page').call(CERTAIN_ROUTINE).raw(0x85, 0xc0); // test eax, eax
  code.jumpIf(CONDITION.notEqual, 'text-ask');

  // rdx bytes from rsi to rbp, which are the same once the kernel has copied them.
  code.label('text-copy').registers([0x01], 'r12', 'rdx').constant('rcx', ONES); // add
  code.label('text-word').registerByte(0x83, 7, 'rdx', 8).jumpIf(CONDITION.below, 'text-byte'); // cmp
  code.load('rax', { base: 'rsi', displacement: 0 }).store({ base: 'rbp', displacement: 0 }, 'rax');
  // (x - ones) & ~x & ones << 7: the lowest bit that is set is in the first byte that is 0.
  code.move('r11', 'rax').registers([0x29], 'r11', 'rcx').raw(0x48, 0xf7, 0xd0); // sub, not rax
  code.registers([0x21], 'r11', 'rax').move('rax', 'rcx').registerByte(0xc1, 4, 'rax', 7); // and, shl
  code.registers([0x21], 'rax', 'r11').jumpIf(CONDITION.notEqual, 'text-end-in-word'); // and
  code.registerByte(0x83, 0, 'rsi', 8).registerByte(0x83, 0, 'rbp', 8).registerByte(0x83, 5, 'rdx', 8);
  code.jump('text-word');
  code.label('text-end-in-word').raw(0x48, 0x0f, 0xbc, 0xc0); // bsf rax, rax
  code.registerByte(0xc1, 5, 'rax', 3).registers([0x01], 'rbp', 'rax').jump('text-end'); // shr, add
  code.label('text-byte').registers([0x85], 'rdx', 'rdx').jumpIf(CONDITION.equal, 'text-piece'); // test
  code.raw(0x0f, 0xb6, 0x06, 0x88, 0x45, 0x00, 0x84, 0xc0); // movzx eax, [rsi]; mov [rbp], al; test al, al
  code.jumpIf(CONDITION.equal, 'text-end').registerByte(0x83, 0, 'rsi', 1).registerByte(0x83, 0, 'rbp', 1);
  code.registerByte(0x83, 5, 'rdx', 1).jump('text-byte');

  code.label('text-ask').registers([0x39], 'rbp', 'r10').jumpIf(CONDITION.notEqual, 'text-ask-all'); // cmp
  code.registerInt(0x81, 7, 'rdx', FIRST_PIECE_BYTES).jumpIf(CONDITION.belowOrEqual, 'text-ask-all');
  code.constant('rdx', BigInt(FIRST_PIECE_BYTES));
  code.label('text-ask-all').push('r8').move('r8', 'rbp').call(ASK_ROUTINE).pop('r8');
  code.registers([0x39], 'rax', 'rdx').move('rsi', 'rbp').jumpIf(CONDITION.equal, 'text-copy'); // cmp
  code.label('text-unreadable').raw(0x31, 0xc0).jump('text-done'); // xor eax, eax

  // As long as a text can be, or as the slot.
  code.label('text-no-end').move('rax', 'rbp').registers([0x29], 'rax', 'r10'); // sub
  code.registerInt(0x81, 7, 'rax', TEXT_BYTES_MAX).jumpIf(CONDITION.equal, 'text-unreadable'); // cmp
  code.raw(0x41, 0x89, 0x40, TEXT_WORD.length).move('r10', 'rbp'); // mov [r8+length], eax
  code.constant('rax', 1n).jump('text-done');
  code.label('text-end').move('rax', 'rbp').registers([0x29], 'rax', 'r10'); // sub
  code.raw(0x41, 0x89, 0x40, TEXT_WORD.length).lea('r10', { base: 'rbp', displacement: 1 });
  code.raw(0x31, 0xc0).label('text-done').pop('r12').pop('rbp').pop('rbx').raw(0xc3);
}

/** rbx is where the pointer is, rbp how many there are, r12 where its text's word goes, r13 what is told. */
function appendTexts(code: MachineCode): void {
  const saved = ['rbx', 'rbp', 'r12', 'r13'] as const;
  code.label(TEXTS_ROUTINE);
  for (const register of saved) code.push(register);
  code.move('rbx', 'rsi').move('rbp', 'rdx').move('r12', 'r8').constant('r13', 0n);
  // The pointer is read to the stack.
  code.label('texts-item').push('rax').move('r8', 'rsp');
  code.move('rsi', 'rbx').constant('rdx', 8n).call(COPY_ROUTINE);
  code.pop('rsi').move('r8', 'r12').registerByte(0x83, 7, 'rax', 8); // cmp
  code
    .jumpIf(CONDITION.equal, 'texts-pointed')
    .raw(...UNREADABLE)
    .jump('texts-next');
  code.label('texts-pointed').call(TEXT_ROUTINE).registers([0x09], 'r13', 'rax'); // or
  code.label('texts-next').registerByte(0x83, 0, 'rbx', 8).registerByte(0x83, 0, 'r12', TEXT_WORD.size);
  code.registerByte(0x83, 5, 'rbp', 1).jumpIf(CONDITION.notEqual, 'texts-item').move('rax', 'r13'); // sub
  for (const register of saved.toReversed()) code.pop(register);
  code.raw(0xc3);
}
