/**
 * A FetchArgument says where a probe takes a value from and how the record holds it: the value's source, the
 * dereferences from the inside out, and the type. It never changes.
 */

import type { ValueType } from './value-type.ts';

/** The registers a definition may name (pt_regs of x86-64). */
export type RegisterName =
  | 'r15'
  | 'r14'
  | 'r13'
  | 'r12'
  | 'bp'
  | 'bx'
  | 'r11'
  | 'r10'
  | 'r9'
  | 'r8'
  | 'ax'
  | 'cx'
  | 'dx'
  | 'si'
  | 'di'
  | 'orig_ax'
  | 'ip'
  | 'cs'
  | 'flags'
  | 'sp'
  | 'ss';

/** All of them. */
export const REGISTERS: readonly RegisterName[] =
  'r15 r14 r13 r12 bp bx r11 r10 r9 r8 ax cx dx si di orig_ax ip cs flags sp ss'.split(' ') as RegisterName[];

/** Where a value begins. */
export type FetchSource =
  | { readonly kind: 'register'; readonly register: RegisterName }
  | { readonly kind: 'stack-pointer' }
  /** The entry of that number above the stack pointer. */
  | { readonly kind: 'stack'; readonly index: bigint }
  | { readonly kind: 'return-value' }
  /** The task's name (`$comm`). */
  | { readonly kind: 'comm' }
  | { readonly kind: 'immediate'; readonly value: bigint }
  | { readonly kind: 'text'; readonly text: string }
  /** The memory at an address. */
  | { readonly kind: 'address'; readonly address: bigint }
  /** The memory that the probed file's offset is mapped to. */
  | { readonly kind: 'file-offset'; readonly offset: bigint };

/** One `+OFFS(...)`: the memory at the value plus the offset. */
export interface Dereference {
  readonly offset: bigint;
  /** Written `+u`: user memory by name. To a probe of user programs the two are the same. */
  readonly isUser: boolean;
}

export interface FetchArgument {
  readonly name: string;
  /** As it was written, its type among it: what `uprobe_events` lists behind the name. */
  readonly expression: string;
  readonly source: FetchSource;
  /** From the innermost out. */
  readonly dereferences: readonly Dereference[];
  readonly type: ValueType;
}

/** Whether what the source gives is already in memory that was looked at, so that no dereference is needed. */
export function readsMemory(source: FetchSource): boolean {
  return source.kind === 'address' || source.kind === 'file-offset';
}

/** What is added before each look at memory, the innermost first; none where the value is what the source gives. */
export function memoryOffsets({ source, dereferences }: FetchArgument): bigint[] {
  const offsets = dereferences.map(({ offset }) => offset);
  // These give an address, and a look at that itself comes first.
  return readsMemory(source) || source.kind === 'stack' ? [0n, ...offsets] : offsets;
}
