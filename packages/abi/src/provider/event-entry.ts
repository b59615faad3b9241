/**
 * Entries of a provider file's event table, one behind the other. An entry never changes once it is counted.
 *
 *     byte 0            2          4
 *          +------------+----------+-----------------------------+-------------------+
 *          | u16 length | u16 zero | the command, `length` bytes | zero, to 4 bytes  |
 *          +------------+----------+-----------------------------+-------------------+
 *
 * The command is `NAME TYPE FIELD; TYPE FIELD`, as user_events takes it, one character a byte.
 */
import { parseCommand } from '../user-events/command.ts';
import { type EventField, parseFields } from '../user-events/fields.ts';
import { COMMAND_SIZE_MAX } from '../user-events/ioctl.ts';
import { PROVIDER_EVENTS_MAX, PROVIDER_FIRST_EVENT_ID } from './layout.ts';

/** Longest command of an entry: the kernel takes it with its NUL. */
export const EVENT_COMMAND_MAX: number = COMMAND_SIZE_MAX - 1;

const ENTRY_HEADER_SIZE = 4;

/** An event of a provider. */
export interface ProviderEvent {
  /** Its place in the table, which is the number of its enable word. */
  readonly index: number;
  /** What its records carry as common_type: PROVIDER_FIRST_EVENT_ID + index. */
  readonly id: number;
  readonly name: string;
  readonly fields: readonly EventField[];
  /** The text of the entry. */
  readonly command: string;
}

/**
 * The entry of a command.
 *
 * @param command the text, one character a byte; up to EVENT_COMMAND_MAX
 */
export function encodeEventEntry(command: string): Uint8Array {
  const entry = new Uint8Array((ENTRY_HEADER_SIZE + command.length + 3) & ~3);
  entry[0] = command.length & 0xff;
  entry[1] = command.length >> 8;
  for (let i = 0; i < command.length; i++) entry[ENTRY_HEADER_SIZE + i] = command.charCodeAt(i);
  return entry;
}

/**
 * Reads an event table. It believes nothing: an entry that makes no sense ends the table, because nobody knows where
 * the one behind it starts; an entry whose command makes no sense is left out.
 *
 * @param table the table's bytes; fewer than the header says when the file is shorter
 * @param eventCount how many entries the header says
 */
export function decodeEventTable(
  table: Uint8Array,
  eventCount: number,
): { readonly events: readonly ProviderEvent[]; readonly isWhole: boolean } {
  const events: ProviderEvent[] = [];
  const count = Math.min(eventCount, PROVIDER_EVENTS_MAX);
  let isWhole = count === eventCount;
  let position = 0;
  for (let index = 0; index < count; index++) {
    const start = position + ENTRY_HEADER_SIZE;
    const length = (table[position] ?? 0) | ((table[position + 1] ?? 0) << 8);
    if (length === 0 || length > EVENT_COMMAND_MAX || start + length > table.length) {
      return { events, isWhole: false };
    }
    const event = eventOf(index, String.fromCharCode(...table.subarray(start, start + length)));
    if (event === undefined) isWhole = false;
    else events.push(event);
    position = (start + length + 3) & ~3;
  }
  return { events, isWhole };
}

function eventOf(index: number, command: string): ProviderEvent | undefined {
  const parsed = parseCommand(command);
  if (parsed === 'EINVAL' || parsed.name === '') return undefined;
  const fields = parseFields(parsed.fields);
  if (typeof fields === 'string') return undefined;
  return { index, id: PROVIDER_FIRST_EVENT_ID + index, name: parsed.name, fields, command };
}
