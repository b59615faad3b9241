/**
 * System calls of x86-64 by number and by name, and their arguments as text. The table is parsed at its first use (0.2 ms)
 * and never changes.
 */
import { SYSTEM_CALL_TABLE } from './system-call-table.ts';
import { signalName } from './signals.ts';

/** What an argument is: system-call-table.ts explains the letters. */
export type ArgumentKind =
  | 'f'
  | 'a'
  | 's'
  | 'b'
  | 'p'
  | 'z'
  | 'd'
  | 'u'
  | 'x'
  | 'm'
  | 'O'
  | 'P'
  | 'M'
  | 'S'
  | 'i';

/** A row of the table. */
export interface SystemCall {
  readonly number: number;
  readonly name: string;
  /** What its arguments are; undefined when this table does not know. */
  readonly argumentKinds: readonly ArgumentKind[] | undefined;
}

/** Numbers above this one are no system calls of this table; it may be used as an array's size. */
export const MAX_SYSTEM_CALL = 511;

/** Bytes of a buffer that `argumentTexts` shows, and of a string if it is not told otherwise. */
const MAX_TEXT_BYTES = 64;

const AT_FDCWD = -100;

let byNumber: (SystemCall | undefined)[] | undefined;
let byName: Map<string, SystemCall> | undefined;

function table(): (SystemCall | undefined)[] {
  if (byNumber !== undefined) return byNumber;
  byNumber = [];
  for (const row of SYSTEM_CALL_TABLE.trim().split(/,\s+/)) {
    const [number = '', name = '', kinds = '?'] = row.split(' ');
    const argumentKinds = kinds === '?' ? undefined : (kinds.replace('-', '').split('') as ArgumentKind[]);
    byNumber[Number(number)] = { number: Number(number), name, argumentKinds };
  }
  return byNumber;
}

/**
 * The system call of a number.
 *
 * @param number as in the register orig_rax
 * @returns its row, or undefined for one that this table does not know
 */
export function systemCall(number: number): SystemCall | undefined {
  return table()[number];
}

/**
 * The name of a system call.
 *
 * @returns `syscall_N` for one that this table does not know
 */
export function systemCallName(number: number): string {
  return table()[number]?.name ?? `syscall_${number}`;
}

/**
 * The system call of a name.
 *
 * @param name as in `man 2`: `openat`
 * @returns its row, or undefined
 */
export function systemCallByName(name: string): SystemCall | undefined {
  byName ??= new Map(table().flatMap((row) => (row === undefined ? [] : [[row.name, row] as const])));
  return byName.get(name);
}

const O_CREAT = 0o100;
const O_TMPFILE = 0o20200000;
const OPEN_FLAGS: readonly (readonly [number, string])[] = [
  [O_CREAT, 'O_CREAT'],
  [0o200, 'O_EXCL'],
  [0o400, 'O_NOCTTY'],
  [0o1000, 'O_TRUNC'],
  [0o2000, 'O_APPEND'],
  [0o4000, 'O_NONBLOCK'],
  [0o4010000, 'O_SYNC'],
  [0o10000, 'O_DSYNC'],
  [0o20000, 'O_ASYNC'],
  [0o40000, 'O_DIRECT'],
  [O_TMPFILE, 'O_TMPFILE'],
  [0o200000, 'O_DIRECTORY'],
  [0o400000, 'O_NOFOLLOW'],
  [0o1000000, 'O_NOATIME'],
  [0o2000000, 'O_CLOEXEC'],
  [0o10000000, 'O_PATH'],
];
const PROTECTIONS = [
  [1, 'PROT_READ'],
  [2, 'PROT_WRITE'],
  [4, 'PROT_EXEC'],
] as const;
const MAP_FLAGS = [
  [0x10, 'MAP_FIXED'],
  [0x20, 'MAP_ANONYMOUS'],
  [0x100, 'MAP_GROWSDOWN'],
  [0x4000, 'MAP_NORESERVE'],
  [0x8000, 'MAP_POPULATE'],
  [0x2_0000, 'MAP_STACK'],
  [0x4_0000, 'MAP_HUGETLB'],
  [0x10_0000, 'MAP_FIXED_NOREPLACE'],
] as const;
const ACCESS_MODES = ['O_RDONLY', 'O_WRONLY', 'O_RDWR', 'O_ACCMODE'] as const;
const MAP_TYPES = ['0', 'MAP_SHARED', 'MAP_PRIVATE', 'MAP_SHARED_VALIDATE'] as const;

function flagsText(first: string, bits: number, names: readonly (readonly [number, string])[]): string {
  let left = bits;
  const words = first === '' ? [] : [first];
  for (const [bit, name] of names) {
    if ((left & bit) !== bit) continue;
    words.push(name);
    left &= ~bit;
  }
  if (left !== 0) words.push(`0x${(left >>> 0).toString(16)}`);
  return words.length === 0 ? '0' : words.join('|');
}

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

function stringText(address: bigint, read: MemoryReader | undefined, maxBytes: number): string {
  if (address === 0n) return 'NULL';
  let shown = MAX_TEXT_BYTES;
  let bytes = read?.(address, shown + 1);
  if (read === undefined || bytes === undefined || bytes.length === 0) return `0x${address.toString(16)}`;
  let end = bytes.indexOf(0);
  // Most strings are short, and what lies behind them need not be touched.
  if (end < 0 && maxBytes > shown) {
    shown = maxBytes;
    bytes = read(address, shown + 1);
    end = bytes.indexOf(0);
  }
  return quoted(bytes.subarray(0, end < 0 ? shown : end), end >= 0);
}

function bufferText(address: bigint, size: bigint, read: MemoryReader | undefined): string {
  if (address === 0n) return 'NULL';
  const wanted = Number(size > BigInt(MAX_TEXT_BYTES) ? MAX_TEXT_BYTES : size);
  const bytes = wanted === 0 ? new Uint8Array() : read?.(address, wanted);
  if (bytes === undefined || (bytes.length === 0 && wanted > 0)) return `0x${address.toString(16)}`;
  return quoted(bytes, BigInt(bytes.length) === size);
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
    case 'O':
      return flagsText(ACCESS_MODES[(low & 3) as 0 | 1 | 2 | 3], low & ~3, OPEN_FLAGS);
    case 'P':
      return low === 0 ? 'PROT_NONE' : flagsText('', low, PROTECTIONS);
    case 'M':
      return flagsText(MAP_TYPES[low & 3] ?? '', low & ~3, MAP_FLAGS);
    default:
      return signalName(low);
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
  const kinds = table()[number]?.argumentKinds;
  if (kinds === undefined)
    return Array.from({ length: 6 }, (_, index) => `0x${argument(index).toString(16)}`);
  const texts: string[] = [];
  for (const [index, kind] of kinds.entries()) {
    if (kind === 'm' && kinds[index - 1] === 'O' && !mayMakeFile(argument(index - 1))) continue;
    const following = index < 5 ? argument(index + 1) : 0n;
    texts.push(argumentText(kind, argument(index), following, read, maxStringBytes));
  }
  return texts;
}

/** Whether flags of open(2) let it make a file. */
function mayMakeFile(flags: bigint): boolean {
  const low = Number(BigInt.asIntN(32, flags));
  return (low & O_CREAT) !== 0 || (low & O_TMPFILE) === O_TMPFILE;
}
