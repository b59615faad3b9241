/**
 * Structures that system calls are given by address, one table, from section 2 of the manual pages: a name, the fields in their
 * order, and of each what it is. Every field of these structures has 8 bytes. A field behind `+` is left out when it is 0. The
 * structure of a name with `/` has grown over time: how long the caller's is says the following argument.
 *
 * The letters are those of system-call-table.ts, and `l` for a limit of resources, `c` for the flags of clone3(2), which has
 * more than the 32 bits that other flags have.
 */
import type { ArgumentKind } from './system-calls.ts';

const STRUCTURES = `
clone_args/ flags:c +pidfd:p +child_tid:p +parent_tid:p exit_signal:S stack:p stack_size:x +tls:p +set_tid:p +set_tid_size:u
  +cgroup:u
open_how/ flags:{open} +mode:m +resolve:{resolve}
rlimit rlim_cur:l rlim_max:l
timespec tv_sec:d tv_nsec:d
`;

const FIELD_BYTES = 8;

/** Flags of clone3(2) above those of clone(2) (linux/sched.h). */
const CLONE3_FLAGS = [
  [1n << 32n, 'CLONE_CLEAR_SIGHAND'],
  [1n << 33n, 'CLONE_INTO_CGROUP'],
] as const;
const RLIM_INFINITY = 0xffff_ffff_ffff_ffffn;

interface Field {
  readonly name: string;
  readonly kind: ArgumentKind | 'l' | 'c';
  readonly isOptional: boolean;
}

interface Structure {
  readonly fields: readonly Field[];
  /** Whether the following argument is its size. */
  readonly isSized: boolean;
}

let structures: ReadonlyMap<string, Structure> | undefined;

function table(): ReadonlyMap<string, Structure> {
  structures ??= new Map(
    STRUCTURES.replaceAll('\n  ', ' ')
      .trim()
      .split('\n')
      .map((row) => {
        const [head = '', ...fields] = row.split(' ');
        const isSized = head.endsWith('/');
        const name = isSized ? head.slice(0, -1) : head;
        return [`[${name}]`, { fields: fields.map((field) => parseField(field)), isSized }] as const;
      }),
  );
  return structures;
}

function parseField(text: string): Field {
  const [name = '', kind = ''] = text.replace('+', '').split(':');
  return { name, kind: kind as Field['kind'], isOptional: text.startsWith('+') };
}

/** Names of all structures, in brackets as the table of system calls has them. */
export function structureNames(): Iterable<string> {
  return table().keys();
}

/**
 * The size of a structure.
 *
 * @param kind its name in brackets
 * @param following the argument behind its address
 * @returns bytes that are known of it; undefined when the table has none of that name
 */
export function structureBytes(kind: string, following: bigint): number | undefined {
  const structure = table().get(kind);
  if (structure === undefined) return undefined;
  const known = structure.fields.length * FIELD_BYTES;
  return structure.isSized && following < BigInt(known) ? Number(following) : known;
}

/**
 * A structure as text, in the manner of strace(1): `{tv_sec=1, tv_nsec=0}`.
 *
 * @param kind its name in brackets; one of the table
 * @param bytes of it: an older, shorter one lacks its last fields
 * @param argumentText the text of a field that is of a system call's kinds
 */
export function structureText(
  kind: string,
  bytes: Uint8Array,
  argumentText: (kind: ArgumentKind, value: bigint) => string,
): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const texts: string[] = [];
  for (const [index, field] of (table().get(kind)?.fields ?? []).entries()) {
    const at = index * FIELD_BYTES;
    if (at + FIELD_BYTES > bytes.length) break;
    const value = view.getBigUint64(at, true);
    if (field.isOptional && value === 0n) continue;
    texts.push(`${field.name}=${fieldText(field, value, argumentText)}`);
  }
  return `{${texts.join(', ')}}`;
}

function fieldText(
  { kind }: Field,
  value: bigint,
  argumentText: (kind: ArgumentKind, value: bigint) => string,
): string {
  if (kind === 'l') return value === RLIM_INFINITY ? 'RLIM_INFINITY' : String(value);
  if (kind === 'S') return value === 0n ? '0' : argumentText(kind, value);
  if (kind !== 'c') return argumentText(kind, value);
  const above = CLONE3_FLAGS.filter(([bit]) => (value & bit) !== 0n).map(([, name]) => name);
  const low = value & 0xffff_ffffn;
  const names = low === 0n && above.length > 0 ? [] : [argumentText('{clone}', low)];
  return [...names, ...above].join('|');
}
