/** Code of a trampoline that stores an argument's value in the slot that rdi has: from its source, through its dereferences. */

import { systemCallNumber } from '@usertrace/abi';
import { memoryOffsets } from '../definition/fetch-argument.ts';
import { recordSize } from '../definition/value-type.ts';
import { COPY_ROUTINE, ITEMS_ROUTINE } from './copy-routine.ts';
import { SLOT } from './lane-layout.ts';
import { CONDITION, type MachineCode } from './machine-code.ts';
import { COMM_BYTES, TEXT_WORD, type ValuePlace } from './slot-layout.ts';
import { appendOffset, appendSourceLoad, type SourcePlace } from './source-load.ts';
import { TEXT_ROUTINE, TEXTS_ROUTINE } from './text-routine.ts';

/** The system call prctl, and its operation that gives the thread's name. */
const PRCTL = systemCallNumber('prctl');
const PR_GET_NAME = 16;

/** Where a value is stored. */
export interface ArgumentSlot {
  /** The argument's number, from 0: its bit of the slot's faults. */
  readonly number: number;
  /** In bytes. */
  readonly slotSize: number;
  /** The label to go on at when the texts have no room; without it they are cut. */
  readonly tooLong?: string | undefined;
}

/**
 * Appends code that stores an argument; what cannot be read is marked in the slot. rdi stays, and where the following text goes
 * stays in r10; the other saved registers change.
 *
 * @param place what its source means
 * @param prefix of labels
 */
export function appendArgument(
  code: MachineCode,
  { argument, offset }: ValuePlace,
  place: SourcePlace,
  slot: ArgumentSlot,
  prefix: string,
): void {
  const { source, type } = argument;
  if (source.kind === 'text') return;
  if (source.kind === 'comm') {
    appendThreadName(code, offset);
    return;
  }
  const offsets = memoryOffsets(argument);
  const last = offsets.pop();
  appendSourceLoad(code, source, place);
  if (last === undefined) {
    if (type.basic.isText) appendFault(code, slot);
    else code.store({ base: 'rdi', displacement: offset }, 'rax');
    return;
  }
  for (const step of offsets) {
    appendOffset(code, step);
    code.move('rsi', 'rax').constant('rdx', 8n).lea('r8', { base: 'rdi', displacement: offset });
    code.call(COPY_ROUTINE).registerInt(0x81, 7, 'rax', 8); // cmp
    code.jumpIf(CONDITION.notEqual, `${prefix}-fault`).load('rax', { base: 'rdi', displacement: offset });
  }
  appendOffset(code, last);
  code.move('rsi', 'rax').lea('r8', { base: 'rdi', displacement: offset });
  if (type.basic.isText) appendTexts(code, type.count, slot);
  else {
    const bytes = recordSize(type);
    // A small value has no old bytes above it.
    if (bytes < 8) code.memoryImmediate([0xc7], 0, { base: 'rdi', displacement: offset }, 0, true);
    code.constant('rdx', BigInt(bytes));
    if (type.count === undefined) code.call(COPY_ROUTINE);
    else code.constant('r9', BigInt(type.basic.size)).call(ITEMS_ROUTINE);
    code.registers([0x85], 'rax', 'rax'); // test
    // What is before the end of memory is told.
    code.jumpIf(CONDITION.lessOrEqual, `${prefix}-fault`);
  }
  code.jump(prefix).label(`${prefix}-fault`);
  appendFault(code, slot);
  code.label(prefix);
}

/** bts: the bit of an argument's fault. */
function appendFault(code: MachineCode, { number }: ArgumentSlot): void {
  code.withMemory([0x0f, 0xba], 5, { base: 'rdi', displacement: SLOT.faults }).raw(number);
}

/** @param count of an array's items */
function appendTexts(
  code: MachineCode,
  count: number | undefined,
  { slotSize, tooLong }: ArgumentSlot,
): void {
  code.lea('r9', { base: 'rdi', displacement: slotSize });
  if (count === undefined) code.call(TEXT_ROUTINE);
  else code.constant('rdx', BigInt(count)).call(TEXTS_ROUTINE);
  if (tooLong !== undefined) code.raw(0x85, 0xc0).jumpIf(CONDITION.notEqual, tooLong); // test eax, eax
}

/** Stores the thread's name as a text: when the hit is read the thread may have another, or be gone. */
function appendThreadName(code: MachineCode, offset: number): void {
  const text = offset + TEXT_WORD.size;
  code.push('rdi').lea('rsi', { base: 'rdi', displacement: text });
  code.constant('rdi', BigInt(PR_GET_NAME)).constant('rax', BigInt(PRCTL)).raw(0x0f, 0x05).pop('rdi');
  const word = (field: number): { base: 'rdi'; displacement: number } => ({
    base: 'rdi',
    displacement: offset + field,
  });
  code.memoryImmediate([0xc7], 0, word(TEXT_WORD.offset), text, false);
  code.memoryImmediate([0xc7], 0, word(TEXT_WORD.length), COMM_BYTES, false);
}
