/**
 * Takes a definition's values from a stopped thread: its registers and its memory, as FetchArgument says. What lies in memory that
 * cannot be read is undefined.
 */

import type { RegisterName as UserRegisterName, Registers } from '@usertrace/abi';
import type { FetchArgument, FetchSource, RegisterName } from '../definition/fetch-argument.ts';
import { memoryOffsets } from '../definition/fetch-argument.ts';
import type { ValueType } from '../definition/value-type.ts';
import { typedNumber } from '../record/typed-value.ts';
import { TEXT_BYTES_MAX } from '../trampoline/slot-layout.ts';

/** A value as its type says: a number, text of one character a byte, or an array's items. Undefined: not readable. */
export type FetchedValue = bigint | string | undefined | readonly FetchedValue[];

/** A stopped thread. */
export interface FetchPort {
  readonly registers: Registers;
  readonly comm: string;
  /** Where the probed file's offset is in the thread's memory, if it is mapped. */
  addressOf(offset: bigint): bigint | undefined;
  /** @returns the bytes, fewer where memory ends; undefined if there are none */
  read(address: bigint, size: number): Uint8Array | undefined;
}

const PAGE_BYTES = 4096;
const WORD_BYTES = 8;

/** The flag that the processor sets for an instruction that is begun again, as the one under a breakpoint is (RF). */
const RESUME_FLAG = 0x1_0000n;

/** The names of pt_regs and those of user_regs_struct. */
const REGISTER_NAMES: Readonly<Partial<Record<RegisterName, UserRegisterName>>> = {
  bp: 'rbp',
  bx: 'rbx',
  ax: 'rax',
  cx: 'rcx',
  dx: 'rdx',
  si: 'rsi',
  di: 'rdi',
  orig_ax: 'orig_rax',
  ip: 'rip',
  sp: 'rsp',
};

/** @returns the value, undefined where memory cannot be read */
export function fetchValue(argument: FetchArgument, port: FetchPort): FetchedValue {
  const { source, type } = argument;
  if (source.kind === 'comm') return port.comm;
  if (source.kind === 'text') return source.text;
  let value = sourceValue(source, port);
  // All but the last load an address; the last loads what the type says.
  const offsets = memoryOffsets(argument);
  const last = offsets.pop();
  for (const offset of offsets) value = value === undefined ? undefined : word(port, value + offset);
  if (value === undefined) return undefined;
  return last === undefined ? typedNumber(value, type) : loaded(port, BigInt.asUintN(64, value + last), type);
}

function sourceValue(source: FetchSource, port: FetchPort): bigint | undefined {
  const { registers } = port;
  switch (source.kind) {
    case 'register':
      if (source.register === 'flags') return registers.get('eflags') & ~RESUME_FLAG;
      return registers.get(REGISTER_NAMES[source.register] ?? (source.register as UserRegisterName));
    case 'stack-pointer':
      return registers.get('rsp');
    case 'stack':
      return registers.get('rsp') + source.index * BigInt(WORD_BYTES);
    case 'return-value':
      return registers.get('rax');
    case 'immediate':
      return source.value;
    case 'address':
      return source.address;
    case 'file-offset':
      return port.addressOf(source.offset);
    default:
      return undefined;
  }
}

function word(port: FetchPort, address: bigint): bigint | undefined {
  const bytes = port.read(BigInt.asUintN(64, address), WORD_BYTES);
  return bytes?.length === WORD_BYTES ? integer(bytes) : undefined;
}

function loaded(port: FetchPort, address: bigint, type: ValueType): FetchedValue {
  if (type.count === undefined) return loadedItem(port, address, type);
  return Array.from({ length: type.count }, (_, index) =>
    type.basic.isText
      ? pointedText(port, address + BigInt(index * WORD_BYTES))
      : loadedItem(port, address + BigInt(index * type.basic.size), type),
  );
}

/** An array of texts is one of pointers to them. */
function pointedText(port: FetchPort, address: bigint): string | undefined {
  const pointer = word(port, address);
  return pointer === undefined ? undefined : text(port, pointer);
}

function loadedItem(port: FetchPort, address: bigint, type: ValueType): FetchedValue {
  if (type.basic.isText) return text(port, address);
  // Where memory ends within a number, the kernel takes what is there.
  const bytes = port.read(address, type.basic.size);
  return bytes === undefined || bytes.length === 0 ? undefined : typedNumber(integer(bytes), type);
}

function integer(bytes: Uint8Array): bigint {
  let value = 0n;
  for (const byte of bytes.toReversed()) value = (value << 8n) | BigInt(byte);
  return value;
}

/** Up to its end mark, page by page; one that is too long counts as not readable, as in the kernel. */
function text(port: FetchPort, address: bigint): string | undefined {
  const pieces: Buffer[] = [];
  let at = address;
  for (let left = TEXT_BYTES_MAX; left > 0; ) {
    const size = Math.min(left, PAGE_BYTES - Number(at % BigInt(PAGE_BYTES)));
    const bytes = port.read(at, size);
    if (bytes === undefined) return undefined;
    const piece = Buffer.from(bytes);
    const end = piece.indexOf(0);
    pieces.push(end < 0 ? piece : piece.subarray(0, end));
    if (end >= 0) return Buffer.concat(pieces).toString('latin1');
    if (piece.length < size) return undefined;
    left -= size;
    at += BigInt(size);
  }
  return undefined;
}
