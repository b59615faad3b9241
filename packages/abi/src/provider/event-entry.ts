/**
 * Entries of a provider file's event table, one behind the other. An entry never changes once it is counted.
 *
 *     byte 0            3        4
 *          +------------+--------+--------------------------+-------------------+
 *          | u24 length | kind   | the text, `length` bytes | zero, to 4 bytes  |
 *          +------------+--------+--------------------------+-------------------+
 *
 * A text of kind `command` is `NAME TYPE FIELD; TYPE FIELD`, as user_events takes it: a tracepoint. One of kind `format` is the
 * event's system, a newline, and its format file: a probe, whose text is printed as its own format says. Both have one
 * character a byte.
 */
import { parseCommand } from '../user-events/command.ts';
import { type EventField, fieldsText, parseFields } from '../user-events/fields.ts';
import { formatFileText } from '../user-events/format-file.ts';
import { COMMAND_SIZE_MAX } from '../user-events/ioctl.ts';
import { parseFormatText, withEventId } from './format-text.ts';
import { PROVIDER_EVENTS_MAX, PROVIDER_FIRST_EVENT_ID } from './layout.ts';

/** Longest command of an entry: the kernel takes it with its NUL. */
export const EVENT_COMMAND_MAX: number = COMMAND_SIZE_MAX - 1;
/** Longest text of an entry with a format: 128 arguments of 64 items are printed with so many characters. */
export const EVENT_FORMAT_MAX: number = 2 ** 18;
/** The system of events that are declared by a command. */
export const PROVIDER_SYSTEM = 'user_events';

const ENTRY_HEADER_SIZE = 4;
const KINDS = ['command', 'format'] as const;
const TEXT_MAX = { command: EVENT_COMMAND_MAX, format: EVENT_FORMAT_MAX } as const;
/** Characters that one call makes of bytes: arguments of a call lie on the stack. */
const CHARACTERS_AT_ONCE = 4096;

/** How an entry declares its event. */
export type EventEntryKind = (typeof KINDS)[number];

/** An event of a provider. */
export interface ProviderEvent {
  /** Its place in the table, which is the number of its enable word. */
  readonly index: number;
  /** What its records carry as common_type: PROVIDER_FIRST_EVENT_ID + index. */
  readonly id: number;
  readonly system: string;
  readonly name: string;
  readonly fields: readonly EventField[];
  readonly kind: EventEntryKind;
  /** The text of the entry. */
  readonly text: string;
}

/**
 * The entry of an event.
 *
 * @param kind what the text is
 * @param text one character a byte; up to EVENT_COMMAND_MAX, or EVENT_FORMAT_MAX
 */
export function encodeEventEntry(kind: EventEntryKind, text: string): Uint8Array {
  const entry = new Uint8Array((ENTRY_HEADER_SIZE + text.length + 3) & ~3);
  new DataView(entry.buffer).setUint32(0, text.length + KINDS.indexOf(kind) * 2 ** 24, true);
  for (let i = 0; i < text.length; i++) entry[ENTRY_HEADER_SIZE + i] = text.charCodeAt(i);
  return entry;
}

/**
 * Reads an event table. It believes nothing: an entry that makes no sense ends the table, because nobody knows where
 * the one behind it starts; an entry whose text makes no sense is left out.
 *
 * @param table the table's bytes; fewer than the header says when the file is shorter
 * @param eventCount how many entries the header says
 */
export function decodeEventTable(
  table: Uint8Array,
  eventCount: number,
): { readonly events: readonly ProviderEvent[]; readonly isWhole: boolean } {
  const events: ProviderEvent[] = [];
  const view = new DataView(table.buffer, table.byteOffset, table.byteLength);
  const count = Math.min(eventCount, PROVIDER_EVENTS_MAX);
  let isWhole = count === eventCount;
  let position = 0;
  for (let index = 0; index < count; index++) {
    const start = position + ENTRY_HEADER_SIZE;
    if (start > table.length) return { events, isWhole: false };
    const length = view.getUint32(position, true) & 0xff_ffff;
    const kind = KINDS[view.getUint8(position + 3)];
    if (kind === undefined || length === 0 || length > TEXT_MAX[kind] || start + length > table.length) {
      return { events, isWhole: false };
    }
    const event = eventOf(index, kind, textOf(table.subarray(start, start + length)));
    if (event === undefined) isWhole = false;
    else events.push(event);
    position = (start + length + 3) & ~3;
  }
  return { events, isWhole };
}

/** What tells an event from others: events with the same are one. */
export function eventIdentity({ kind, system, name, fields, text }: ProviderEvent): string {
  if (kind === 'format') return withEventId(text, 0);
  return `${system}/${name} ${fieldsText(fields)}`;
}

/**
 * The format file of an event.
 *
 * @param id the number that its records carry
 */
export function providerEventFormat({ kind, name, fields, text }: ProviderEvent, id: number): string {
  if (kind === 'command') return formatFileText(name, id, fields);
  return withEventId(text.slice(text.indexOf('\n') + 1), id);
}

function eventOf(index: number, kind: EventEntryKind, text: string): ProviderEvent | undefined {
  const declared = kind === 'command' ? ofCommand(text) : parseFormatText(text);
  return declared === undefined
    ? undefined
    : { index, id: PROVIDER_FIRST_EVENT_ID + index, ...declared, kind, text };
}

function ofCommand(command: string): Pick<ProviderEvent, 'system' | 'name' | 'fields'> | undefined {
  const parsed = parseCommand(command);
  if (parsed === 'EINVAL' || parsed.name === '') return undefined;
  const fields = parseFields(parsed.fields);
  if (typeof fields === 'string') return undefined;
  return { system: PROVIDER_SYSTEM, name: parsed.name, fields };
}

function textOf(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += CHARACTERS_AT_ONCE) {
    text += String.fromCharCode(...bytes.subarray(at, at + CHARACTERS_AT_ONCE));
  }
  return text;
}
