/**
 * A ProbeDefinition is what one line of `uprobe_events` asks for. It is read from a command and never changes;
 * the DefinitionSet holds those that are in force. Text is one character a byte.
 *
 * The language is that of Documentation/trace/uprobetracer.rst, with one more form: `PATH:function+offset`, where
 * the reader is given somebody who knows functions.
 */

import { type EventFilter, splitWords } from '@usertrace/abi';
import { ArgumentParser } from './argument-parser.ts';
import type { FetchArgument } from './fetch-argument.ts';
import { isGoodGroupName, isGoodName, startsLikeName } from './name.ts';
import { parseUnsigned } from './number.ts';
import { CommandWords, DefinitionRefusal } from './refusal.ts';

/** The group of an event that is given none. */
export const DEFAULT_GROUP = 'uprobes';

/** The most arguments of one probe (MAX_TRACE_ARGS). */
export const ARGUMENTS_MAX = 128;

/** Bytes of a group's or an event's name, its end mark among them (MAX_EVENT_NAME_LEN). */
const EVENT_NAME_BYTES = 64;

/** What stands at a path. */
export type PathFinding =
  | { readonly kind: 'regular' /** The same for every path to one file. */; readonly identity: string }
  | { readonly kind: 'other' }
  | { readonly kind: 'missing'; readonly errno: 'ENOENT' | 'ENOTDIR' | 'EACCES' };

/** What the reader of definitions asks of the system. */
export interface DefinitionPort {
  /** What stands at a path; links are followed. */
  look(path: string): PathFinding;
  /** The file offset of a function, if function names are taken at all and this one is known. */
  functionOffset?(path: string, name: string): bigint | undefined;
}

export interface ProbeDefinition {
  readonly kind: 'entry' | 'return';
  readonly group: string;
  readonly event: string;
  readonly path: string;
  readonly fileIdentity: string;
  /** Of the probed instruction in the file. */
  readonly offset: bigint;
  /** Of the 16-bit counter that is raised while the probe is enabled; 0 if there is none. */
  readonly counterOffset: bigint;
  readonly arguments: readonly FetchArgument[];
  /** Which of its hits are wanted. It is no part of what is parsed: whoever has a filter for the event puts it here. */
  readonly filter?: EventFilter;
}

/** What stands where the probe goes, with the characters at which its parts begin. */
interface Place {
  readonly path: string;
  readonly fileIdentity: string;
  readonly offset: bigint;
  readonly counterOffset: bigint;
  readonly isReturn: boolean;
}

const START_KINDS: Readonly<Record<string, ProbeDefinition['kind']>> = { p: 'entry', r: 'return' };

/** What stands behind an address to make a return probe. */
const RETURN_SUFFIX = '%return';

/**
 * Reads a command that puts a probe.
 *
 * @param command one line, without comments
 * @param port tells files from other things
 * @returns the definition, or undefined for a line that is blank
 * @throws {DefinitionRefusal} as the kernel answers it
 */
export function parseDefinition(command: string, port: DefinitionPort): ProbeDefinition | undefined {
  const words = new CommandWords(splitWords(command));
  const [start = '', place = ''] = words.words;
  if (start === '') return undefined;
  const startKind = START_KINDS[start.slice(0, 1)];
  if (startKind === undefined || words.words.length < 2) throw new DefinitionRefusal('EINVAL');
  if (words.words.length - 2 > ARGUMENTS_MAX) words.refuse(2, 0, 'tooManyArguments');
  const where = parsePlace(words, place, port);
  const kind = where.isReturn ? 'return' : startKind;
  const { group, event } = parseEventName(words, start, where);
  const parser = new ArgumentParser(words, kind === 'return');
  const parsed = words.words.slice(2).map((_, index) => parser.parse(index + 2, index + 1));
  const { path, fileIdentity, offset, counterOffset } = where;
  return { kind, group, event, path, fileIdentity, offset, counterOffset, arguments: parsed };
}

function parsePlace(words: CommandWords, place: string, port: DefinitionPort): Place {
  const colon = place.lastIndexOf(':');
  const path = place.slice(0, colon);
  const isSymbol = port.functionOffset !== undefined && startsLikeName(place.slice(colon + 1));
  if (!place.includes('/') || colon < 0 || !(isSymbol || /^[0-9]/.test(place.slice(colon + 1)))) {
    throw new DefinitionRefusal('EINVAL');
  }
  const found = port.look(path);
  if (found.kind === 'missing') return words.refuse(1, 0, 'fileNotFound', found.errno);
  if (found.kind === 'other') return words.refuse(1, 0, 'notRegularFile');
  const { address, counterOffset } = parseCounter(words, place, colon + 1);
  const percent = address.indexOf('%');
  const isReturn = percent >= 0;
  if (isReturn && address.slice(percent) !== RETURN_SUFFIX)
    words.refuse(1, colon + 1 + percent, 'placeSuffix');
  const target = isReturn ? address.slice(0, percent) : address;
  const offset = isSymbol ? symbolOffset(words, path, target, colon + 1, port) : parseUnsigned(target);
  if (typeof offset !== 'bigint') return words.refuse(1, colon + 1, 'offset', offset);
  return { path, fileIdentity: found.identity, offset, counterOffset, isReturn };
}

/** Takes `(COUNTER)` off an address. */
function parseCounter(
  words: CommandWords,
  place: string,
  start: number,
): { address: string; counterOffset: bigint } {
  const open = place.indexOf('(', start);
  if (open < 0) return { address: place.slice(start), counterOffset: 0n };
  const close = place.indexOf(')', open);
  if (close < 0) words.refuse(1, place.length, 'counterOpen');
  if (close + 1 < place.length) words.refuse(1, close + 1, 'counterSuffix');
  const counterOffset = parseUnsigned(place.slice(open + 1, close));
  if (typeof counterOffset !== 'bigint') return words.refuse(1, open + 1, 'counterOffset', counterOffset);
  return { address: place.slice(start, open), counterOffset };
}

function symbolOffset(
  words: CommandWords,
  path: string,
  target: string,
  start: number,
  port: DefinitionPort,
): bigint | 'EINVAL' | 'ERANGE' {
  const plus = target.indexOf('+');
  const name = plus < 0 ? target : target.slice(0, plus);
  const base = port.functionOffset?.(path, name);
  if (base === undefined) return words.refuse(1, start, 'unknownSymbol');
  const beyond = plus < 0 ? 0n : parseUnsigned(target.slice(plus + 1));
  return typeof beyond === 'bigint' ? base + beyond : beyond;
}

function parseEventName(words: CommandWords, start: string, place: Place): { group: string; event: string } {
  if (start[1] !== ':') return { group: DEFAULT_GROUP, event: defaultEventName(place) };
  const name = start.slice(2);
  const slash = name.indexOf('/');
  const separator = slash < 0 ? name.indexOf('.') : slash;
  const group = separator < 0 ? DEFAULT_GROUP : name.slice(0, separator);
  if (separator === 0) words.refuse(0, 2, 'noGroup');
  if (separator + 1 > EVENT_NAME_BYTES) words.refuse(0, 2, 'groupTooLong');
  if (!isGoodGroupName(group)) words.refuse(0, 2, 'badGroup');
  const event = name.slice(separator + 1);
  const eventAt = 2 + separator + 1;
  if (event === '') {
    return separator < 0 ? words.refuse(0, eventAt, 'noEvent') : { group, event: defaultEventName(place) };
  }
  if (event.length >= EVENT_NAME_BYTES) words.refuse(0, eventAt, 'eventTooLong');
  if (!isGoodName(event)) words.refuse(0, eventAt, 'badEvent');
  return { group, event };
}

/** `p_FILE_0xOFFSET`, with the file's name up to its first `.`, `-` or `_`. */
function defaultEventName({ path, offset }: Place): string {
  const file = path.slice(path.lastIndexOf('/') + 1);
  const end = file.search(/[.\-_]/);
  const stem = end < 0 ? file : file.slice(0, end);
  return `p_${stem}_0x${offset.toString(16)}`.slice(0, EVENT_NAME_BYTES - 1);
}
