/**
 * A tracepoint's declaration, checked: the name and fields of an event that user_events and its readers take. The grammar
 * is abi's own parser; the rules that it does not have are said here, each with its reason.
 */
import {
  COMMON_FIELDS_SIZE,
  EVENT_COMMAND_MAX,
  type EventField,
  minimumPayload,
  parseFields,
} from '@usertrace/abi';
import { LANE_RECORD_WORDS_MAX } from '@usertrace/ring';
import type { AnyField, Fields } from './arguments.ts';
import type { Storage } from './field-type.ts';

/** A field with the way its values are stored. */
export interface DeclaredField {
  readonly field: EventField;
  readonly storage: Storage;
}

/** What an event is. */
export interface Declaration {
  readonly name: string;
  /** `NAME TYPE FIELD; TYPE FIELD`, as it is registered. */
  readonly command: string;
  readonly fields: readonly DeclaredField[];
}

/** Longest entry of an event: what is left of a page for one record with its length word, in bytes. */
export const ENTRY_SIZE_MAX: number = (LANE_RECORD_WORDS_MAX - 2) * 4;

const ARRAY_SIZE_MAX = 1024;
const IDENTIFIER = /^[A-Za-z_][A-Za-z0-9_]*$/;
/** Folders and files in the tree of events that are no events (Documentation/trace/events.rst). */
const RESERVED_EVENT_NAMES: ReadonlySet<string> = new Set(['enable', 'filter']);

/**
 * Checks a declaration.
 *
 * @param name the event's
 * @param declared its fields
 * @throws {TypeError} when the kernel, or a reader of traces, would not take it; the message names the rule
 */
export function declarationOf(name: string, declared: Fields): Declaration {
  const refuse = (rule: string): never => {
    throw new TypeError(`Cannot declare tracepoint ${JSON.stringify(name)}: ${rule}`);
  };
  if (typeof name !== 'string' || !IDENTIFIER.test(name)) {
    refuse(
      'its name has to be letters, digits and _, and not to begin with a digit; readers of traces take no other',
    );
  }
  if (RESERVED_EVENT_NAMES.has(name)) refuse('its name is that of a file in the tree of events');
  const pairs: readonly (readonly [string, AnyField])[] = Array.isArray(declared)
    ? (declared as readonly (readonly [string, AnyField])[])
    : Object.entries(declared);
  const texts = fieldTexts(pairs, refuse);
  const command = texts.length === 0 ? name : `${name} ${texts.join('; ')}`;
  if (command.length > EVENT_COMMAND_MAX) {
    refuse(
      `its name and fields have ${command.length} characters, and the kernel takes ${EVENT_COMMAND_MAX}`,
    );
  }
  const fields = parseFields(texts.join('; '));
  if (typeof fields === 'string')
    return refuse(`its fields "${texts.join('; ')}" are not of the kernel's grammar`);
  const located = pairs.filter(([, { storage }]) => storage === 'text' || storage === 'blob').length;
  const room = ENTRY_SIZE_MAX - COMMON_FIELDS_SIZE - 4 * (located + 1);
  if (minimumPayload(fields) > room) {
    refuse(`its fields take ${minimumPayload(fields)} bytes, and an event of it has room for ${room}`);
  }
  const withStorage = fields.map((field, index) => ({
    field,
    storage: (pairs[index] as [string, AnyField])[1].storage,
  }));
  return { name, command, fields: withStorage };
}

function fieldTexts(
  pairs: readonly (readonly [string, AnyField])[],
  refuse: (rule: string) => never,
): string[] {
  const names = new Set<string>();
  return pairs.map(([name, field]) => {
    if (typeof name !== 'string' || !IDENTIFIER.test(name)) {
      refuse(
        `field ${JSON.stringify(name)} has to be named with letters, digits and _, not beginning with a digit`,
      );
    }
    if (name.startsWith('common_'))
      refuse(`field ${name} has a name that every event has: common_ is reserved`);
    if (names.has(name)) refuse(`field ${name} is there twice`);
    names.add(name);
    const type: unknown = (field as AnyField | undefined)?.type;
    if (typeof type !== 'string')
      refuse(`field ${name} has no type; take one of this package, such as u32 or str`);
    return fieldText(name, field, refuse);
  });
}

function fieldText(name: string, { type, structSize }: AnyField, refuse: (rule: string) => never): string {
  const size = /^(?:unsigned )?char\[(.*)\]$/.exec(type)?.[1];
  if (size !== undefined && !isSizeUpTo(Number(size), ARRAY_SIZE_MAX)) {
    refuse(`field ${name} is an array of ${size} bytes, and the kernel takes 1 to ${ARRAY_SIZE_MAX}`);
  }
  const text = structSize === undefined ? `${type} ${name}` : `${type} ${name} ${structSize}`;
  if (structSize !== undefined) {
    if (!IDENTIFIER.test(type.slice('struct '.length)))
      refuse(`field ${name} is a struct whose name is no C name`);
    if (!isSizeUpTo(structSize, ENTRY_SIZE_MAX)) {
      refuse(
        `field ${name} is a struct of ${structSize} bytes, and an event has room for 1 to ${ENTRY_SIZE_MAX}`,
      );
    }
  }
  const [parsed, ...others] = /[;\n]/.test(text) ? [] : asList(parseFields(text));
  if (parsed === undefined || others.length > 0 || parsed.name !== name || parsed.type !== type) {
    refuse(`field ${name} has type "${type}", which the kernel does not know`);
  }
  return text;
}

function asList(parsed: ReturnType<typeof parseFields>): readonly EventField[] {
  return typeof parsed === 'string' ? [] : parsed;
}

function isSizeUpTo(size: number, most: number): boolean {
  return Number.isInteger(size) && size >= 1 && size <= most;
}
