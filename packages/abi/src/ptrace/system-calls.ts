/**
 * System calls of x86-64 by number and by name. The table is parsed at its first use (0.2 ms) and never changes.
 */

import { assert } from '@usertrace/base';
import { SYSTEM_CALL_TABLE } from './system-call-table.ts';

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
  | 'S'
  | 'i'
  /** A set of constants. */
  | `{${string}}`
  /** A structure. */
  | `[${string}]`;

/** A row of the table. */
export interface SystemCall {
  readonly number: number;
  readonly name: string;
  /** What its arguments are; undefined when this table does not know. */
  readonly argumentKinds: readonly ArgumentKind[] | undefined;
  /** Which of its arguments are addresses of what is shown: strings, buffers and structures. */
  readonly memoryArguments: readonly number[];
}

/** Numbers above this one are no system calls of this table; it may be used as an array's size. */
export const MAX_SYSTEM_CALL = 511;

const KIND = /\{\w+\}|\[\w+\]|[a-zA-Z]/g;

let byNumber: (SystemCall | undefined)[] | undefined;
let byName: Map<string, SystemCall> | undefined;

function isInMemory(kind: ArgumentKind): boolean {
  return kind === 's' || kind === 'b' || kind.startsWith('[');
}

function table(): (SystemCall | undefined)[] {
  if (byNumber !== undefined) return byNumber;
  byNumber = [];
  for (const row of SYSTEM_CALL_TABLE.trim().split(/,\s+/)) {
    const [number = '', name = '', kinds = '?'] = row.split(' ');
    const argumentKinds = kinds === '?' ? undefined : ((kinds.match(KIND) ?? []) as ArgumentKind[]);
    const memoryArguments = (argumentKinds ?? []).flatMap((kind, index) => (isInMemory(kind) ? [index] : []));
    byNumber[Number(number)] = { number: Number(number), name, argumentKinds, memoryArguments };
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

/**
 * The number of a system call that this program makes, or waits for.
 *
 * @param name as in `man 2`: `mmap`
 * @throws {AssertionError} when there is no such call
 */
export function systemCallNumber(name: string): number {
  const call = systemCallByName(name);
  assert(call !== undefined, `a system call is called ${name}`);
  return call.number;
}
