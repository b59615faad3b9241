/** The arguments of system calls as text, in the manner of strace(1): descriptors, strings from memory, flags by name. */
import { assert } from '@usertrace/base';
import { namedText, nameSets } from './argument-names.ts';
import { structureBytes, structureText } from './argument-structures.ts';
import { signalName } from './signals.ts';
import { type ArgumentKind, systemCall } from './system-calls.ts';

/** Bytes of a buffer that `argumentTexts` shows, and of a string if it is not told otherwise. */
const MAX_TEXT_BYTES = 64;

const AT_FDCWD = -100;

const O_CREAT = 0o100;
const O_TMPFILE = 0o20200000;
/** What follows a constant, where that depends on which it is; `-`: nothing. */
const KINDS_BEHIND: Readonly<Record<string, ArgumentKind | '-'>> = {
  F_DUPFD: 'd',
  F_DUPFD_CLOEXEC: 'd',
  F_GETFD: '-',
  F_GETFL: '-',
  F_SETFD: '{descriptor}',
  F_SETFL: '{open}',
  SOL_SOCKET: '{socket_option}',
};

const ESCAPES: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\n': '\\n',
  '\t': '\\t',
  '\r': '\\r',
};

/** Most texts have nothing to be escaped, and are not to be looked through by a callback. */
const PLAIN = /^[ !#-[\]-~]*$/;

/**
 * Bytes as text with C's escapes, as strace prints them, so that no terminal takes a part of it for a command.
 *
 * @param bytes of any encoding: all that is not printable ASCII is escaped
 */
export function escapedText(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
  if (PLAIN.test(text)) return text;
  return text.replaceAll(/[^ !#-[\]-~]/g, (character) => {
    const code = character.charCodeAt(0).toString(16).padStart(2, '0');
    return ESCAPES[character] ?? `\\x${code}`;
  });
}

/** In quotes; `...` when there is more. */
function quoted(bytes: Uint8Array, isWhole: boolean): string {
  return `"${escapedText(bytes)}"${isWhole ? '' : '...'}`;
}

/** Reads memory of the task that makes the call: the bytes that could be read, fewer or none where it is not mapped. */
export type MemoryReader = (address: bigint, size: number) => Uint8Array;

/** A string and its zero byte, or one byte more than is shown of it. Most are short, and what lies behind need not be touched. */
function stringBytes(address: bigint, read: MemoryReader, maxBytes: number): Uint8Array {
  const bytes = read(address, MAX_TEXT_BYTES + 1);
  const isShort = bytes.length <= MAX_TEXT_BYTES || maxBytes <= MAX_TEXT_BYTES || bytes.includes(0);
  return isShort ? bytes : read(address, maxBytes + 1);
}

function stringText(address: bigint, read: MemoryReader | undefined, maxBytes: number): string {
  if (address === 0n) return 'NULL';
  const bytes = read === undefined ? NOTHING : stringBytes(address, read, maxBytes);
  if (bytes.length === 0) return `0x${address.toString(16)}`;
  const end = bytes.indexOf(0);
  const shown = Math.max(MAX_TEXT_BYTES, maxBytes);
  return quoted(bytes.subarray(0, end < 0 ? shown : end), end >= 0);
}

const NOTHING = new Uint8Array();

function bufferBytes(address: bigint, size: bigint, read: MemoryReader): Uint8Array {
  return size === 0n ? NOTHING : read(address, Number(size > BigInt(MAX_TEXT_BYTES) ? MAX_TEXT_BYTES : size));
}

function bufferText(address: bigint, size: bigint, read: MemoryReader | undefined): string {
  if (address === 0n) return 'NULL';
  const bytes = read === undefined ? NOTHING : bufferBytes(address, size, read);
  if (bytes.length === 0 && size > 0n) return `0x${address.toString(16)}`;
  return quoted(bytes, BigInt(bytes.length) === size);
}

/** A structure that the call reads; its address when that cannot be read. */
function structureAt(kind: string, address: bigint, size: number, read: MemoryReader | undefined): string {
  if (address === 0n) return 'NULL';
  const bytes = read?.(address, size);
  if (bytes === undefined || bytes.length === 0) return `0x${address.toString(16)}`;
  return structureText(kind, bytes, (own, value) => argumentText(own, value, 0n, undefined, 0));
}

function argumentText(
  kind: ArgumentKind,
  value: bigint,
  following: bigint,
  read: MemoryReader | undefined,
  maxStringBytes: number,
): string {
  const low = Number(BigInt.asIntN(32, value));
  switch (kind) {
    case 'a':
      return low === AT_FDCWD ? 'AT_FDCWD' : String(low);
    case 'f':
    case 'i':
      return String(low);
    case 'd':
      // A C int fills half of the register, and leaves the other half alone.
      return BigInt.asUintN(64, value) >> 32n === 0n ? String(low) : String(BigInt.asIntN(64, value));
    case 'u':
    case 'z':
      return String(BigInt.asUintN(64, value));
    case 's':
      return stringText(value, read, maxStringBytes);
    case 'b':
      return bufferText(value, following, read);
    case 'p':
      return value === 0n ? 'NULL' : `0x${value.toString(16)}`;
    case 'x':
      return value === 0n ? '0' : `0x${value.toString(16)}`;
    case 'm':
      return `0${(low & 0o177777).toString(8)}`;
    case 'S':
      return signalName(low);
    default: {
      const size = structureBytes(kind, following);
      if (size !== undefined) return structureAt(kind, value, size, read);
      const names = nameSets().get(kind);
      assert(names !== undefined, 'the table of system calls names sets that are there');
      return namedText(names, low);
    }
  }
}

/**
 * The arguments of a system call as text, in the manner of strace(1).
 *
 * @param number of the system call
 * @param argument gives the argument of an index, 0 to 5
 * @param read brings strings and buffers; without it their addresses are given
 * @param maxStringBytes of a string are shown, 64 at least
 * @returns their texts; without the mode that open(2) ignores when it makes no file
 */
export function argumentTexts(
  number: number,
  argument: (index: number) => bigint,
  read?: MemoryReader,
  maxStringBytes: number = MAX_TEXT_BYTES,
): string[] {
  const kinds = systemCall(number)?.argumentKinds;
  if (kinds === undefined)
    return Array.from({ length: 6 }, (_, index) => `0x${argument(index).toString(16)}`);
  const texts: string[] = [];
  let kindBehind: ArgumentKind | '-' | undefined;
  for (const [index, ownKind] of kinds.entries()) {
    const kind: ArgumentKind | '-' = kindBehind ?? ownKind;
    if (kind === '-') break;
    if (kind === 'm' && kinds[index - 1] === '{open}' && !mayMakeFile(argument(index - 1))) break;
    const following = index < 5 ? argument(index + 1) : 0n;
    const text = argumentText(kind, argument(index), following, read, maxStringBytes);
    texts.push(text);
    kindBehind = kind.length === 1 ? undefined : KINDS_BEHIND[text];
  }
  return texts;
}

/**
 * Reads what `argumentTexts` will want of the memory of the task that makes a call, so that the texts can be made when the task has
 * gone on.
 *
 * @param number of the system call
 * @param argument gives the argument of an index, 0 to 5
 * @param read as that of `argumentTexts`, which asks for the same pieces; it keeps what it brings
 * @param maxStringBytes as that of `argumentTexts`
 */
export function readArguments(
  number: number,
  argument: (index: number) => bigint,
  read: MemoryReader,
  maxStringBytes: number = MAX_TEXT_BYTES,
): void {
  const call = systemCall(number);
  for (const index of call?.memoryArguments ?? NONE) {
    const kind = call?.argumentKinds?.[index] ?? 'p';
    const address = argument(index);
    if (address === 0n) continue;
    const following = index < 5 ? argument(index + 1) : 0n;
    if (kind === 's') stringBytes(address, read, maxStringBytes);
    else if (kind === 'b') bufferBytes(address, following, read);
    else read(address, structureBytes(kind, following) ?? 0);
  }
}

const NONE: readonly number[] = [];

/** Whether flags of open(2) let it make a file. */
function mayMakeFile(flags: bigint): boolean {
  const low = Number(BigInt.asIntN(32, flags));
  return (low & O_CREAT) !== 0 || (low & O_TMPFILE) === O_TMPFILE;
}
