/**
 * What is watched: kinds of events, and which system calls. Read once from --events; it never changes.
 */
import {
  MAX_FILTERED_CALLS,
  MAX_SYSTEM_CALL,
  systemCall,
  systemCallByName,
  systemCallName,
} from '@usertrace/abi';
import { EXIT, Failure } from '../failure.ts';

/** What --events names besides system calls. */
export const EVENT_KINDS = ['clone', 'exec', 'exit', 'signal'] as const;

/** A kind of event that is chosen by its name alone. */
export type EventKind = (typeof EVENT_KINDS)[number];

/** What is watched. */
export interface Selection {
  readonly kinds: ReadonlySet<EventKind>;
  /** Numbers of the system calls that are watched. */
  readonly calls: 'none' | 'all' | readonly number[];
}

/** How many names are offered for one that is unknown. */
const OFFERED_MAX = 4;
/** Names that differ in more letters are not meant. */
const NEAR_MAX = 3;

/**
 * Reads what --events was given.
 *
 * @param texts items between commas: a kind, `syscall` for all calls, or `syscall:NAME`; behind a `syscall:NAME` a bare name is
 *   another call, unless it is a kind
 * @throws {Failure} with the usage exit code for an unknown name, with names that are near
 */
export function parseSelection(texts: readonly string[]): Selection {
  const kinds = new Set<EventKind>();
  const calls = new Set<number>();
  let hasAll = false;
  for (const text of texts) {
    let isBehindCall = false;
    for (const item of text.split(',').map((word) => word.trim())) {
      if (isKind(item)) kinds.add(item);
      else if (item === 'syscall') hasAll = true;
      else if (item.startsWith('syscall:')) {
        calls.add(callNumber(item.slice('syscall:'.length)));
        isBehindCall = true;
      } else if (isBehindCall) calls.add(callNumber(item));
      else throw unknownKind(item);
    }
  }
  if (hasAll) return { kinds, calls: 'all' };
  return { kinds, calls: calls.size === 0 ? 'none' : [...calls].toSorted((a, b) => a - b) };
}

/** The numbers that a seccomp filter is to pick, or undefined when it would not do. */
export function filterNumbers({ calls }: Selection): readonly number[] | undefined {
  return typeof calls === 'object' && calls.length <= MAX_FILTERED_CALLS ? calls : undefined;
}

function isKind(item: string): item is EventKind {
  return (EVENT_KINDS as readonly string[]).includes(item);
}

function callNumber(name: string): number {
  const known = systemCallByName(name);
  if (known !== undefined) return known.number;
  throw new Failure(`there is no system call "${name}"${offer(name, callNames())}`, EXIT.usage);
}

function unknownKind(item: string): Failure {
  const call = systemCallByName(item);
  const hint =
    call === undefined
      ? offer(item, [...EVENT_KINDS, 'syscall'])
      : `; for the system call write syscall:${item}`;
  return new Failure(
    `there is no event "${item}"${hint}; there are ${EVENT_KINDS.join(', ')}, syscall and syscall:NAME`,
    EXIT.usage,
  );
}

function callNames(): string[] {
  const names: string[] = [];
  for (let number = 0; number <= MAX_SYSTEM_CALL; number++)
    if (systemCall(number) !== undefined) names.push(systemCallName(number));
  return names;
}

/** `; did you mean A or B?`, or nothing. */
function offer(name: string, known: readonly string[]): string {
  const limit = Math.min(NEAR_MAX, Math.floor(name.length / 2));
  const near = known
    .map((candidate) => ({ candidate, distance: nearness(name, candidate) }))
    .filter(({ distance }) => distance <= limit)
    .toSorted((a, b) => a.distance - b.distance)
    .slice(0, OFFERED_MAX)
    .map(({ candidate }) => candidate);
  return near.length === 0 ? '' : `; did you mean ${near.join(' or ')}?`;
}

/** Letters that have to be changed; a name that begins with the other one, as openat does with open, is near. */
function nearness(name: string, candidate: string): number {
  if (name.length >= 3 && (candidate.startsWith(name) || name.startsWith(candidate))) return 1;
  let row = Array.from({ length: candidate.length + 1 }, (_, column) => column);
  for (let above = 0; above < name.length; above++) {
    const former = row;
    row = [above + 1];
    for (let column = 1; column <= candidate.length; column++) {
      const isSame = candidate[column - 1] === name[above];
      const changed = (former[column - 1] as number) + (isSame ? 0 : 1);
      row.push(Math.min(changed, (former[column] as number) + 1, (row[column - 1] as number) + 1));
    }
  }
  return row[candidate.length] as number;
}
