/**
 * Reading the texts of a tracefs tree: the lists of events, `format`, `user_events_status`, `stats` and `trace`.
 * The layouts are those of the kernel's Documentation/trace/events.rst, user_events.rst and ftrace.rst.
 *
 * Everything here is pure; mounted-tree.ts reads the files.
 */

/** An event's full name. */
export interface EventName {
  readonly system: string;
  readonly event: string;
}

/** One field of an event, as its `format` file says. Offset and size are in bytes. */
export interface FormatField {
  readonly type: string;
  readonly name: string;
  readonly offset: number;
  readonly size: number;
  readonly isSigned: boolean;
}

/** What an event's `format` file says: its number in records, and its own fields (not the common ones). */
export interface EventFormat {
  readonly id: number;
  readonly fields: readonly FormatField[];
}

/** One event in `user_events_status`. */
export interface EventUse {
  readonly event: string;
  /** Who uses it, such as `ftrace`; empty when nobody does. */
  readonly users: readonly string[];
}

/** What `user_events_status` says. */
export interface UseReport {
  readonly events: readonly EventUse[];
  /** Events that exist. */
  readonly activeCount: number;
  /** Events that somebody uses. */
  readonly busyCount: number;
}

/** An enable word that has not got its event's state. */
export interface UnsettledWord {
  readonly event: string;
  /** Its address in the program's memory, in hexadecimal. */
  readonly address: string;
  readonly bit: number;
  /** `pending`: about to be stored; `late`: the memory hangs; `faulted`: it is unmapped or may not be written. */
  readonly state: string;
  /** The tasks that use the memory. */
  readonly tids: readonly number[];
}

/** Counts from a buffer's `stats` file. */
export interface BufferStats {
  /** Events that were read and thereby removed. */
  readonly readCount: number;
  /** Events that were overwritten before anybody read them, or dropped. */
  readonly lostCount: number;
}

/** The name and the declaration of a C variable, such as `char name[16]` or `__data_loc char[] text`. */
const DECLARATION = /^(?<type>.*\S)\s+(?<name>[^\s[\]]+)(?<dimension>\[[^\]]*\])?$/;
const FIELD =
  /^\tfield:(?<declaration>[^;]+);\toffset:(?<offset>\d+);\tsize:(?<size>\d+);\tsigned:(?<signed>[01]);$/;

/** Of their arrays the size says how long they are: the kernel writes what was left in its memory into the brackets. */
const CHARACTERS = /^(?:unsigned )?char$/;

const UNSETTLED =
  /^(?<event>\S+) address=(?<address>0x[0-9a-f]+) bit=(?<bit>\d+) state=(?<state>\w+) tasks=(?<tids>[\d,]*)$/gm;

/** The names in an `available_events` or `set_event` text, in its order. */
export function parseEventNames(text: string): EventName[] {
  return text
    .split('\n')
    .map((line) => line.split(':'))
    .filter((parts) => parts.length === 2)
    .map(([system, event]) => ({ system: system as string, event: event as string }));
}

/** Reads an event's `format` text. Lines that are no field are passed over. */
export function parseFormat(text: string): EventFormat {
  const fields: FormatField[] = [];
  for (const line of text.split('\n')) {
    const groups = FIELD.exec(line)?.groups;
    const declaration = DECLARATION.exec(groups?.['declaration'] ?? '')?.groups;
    if (groups === undefined || declaration === undefined) continue;
    if (declaration['name']?.startsWith('common_') === true) continue;
    const size = Number(groups['size']);
    const { type = '', dimension = '' } = declaration;
    fields.push({
      type: `${type}${CHARACTERS.test(type) && dimension !== '' ? `[${size}]` : dimension}`,
      name: declaration['name'] as string,
      offset: Number(groups['offset']),
      size,
      isSigned: groups['signed'] === '1',
    });
  }
  return { id: Number(/^ID: (\d+)$/m.exec(text)?.[1] ?? Number.NaN), fields };
}

/** Reads a `user_events_status` text: `NAME` or `NAME # Used by A B` a line, then the two counts. */
export function parseUseReport(text: string): UseReport {
  const [eventLines = '', counts = ''] = text.startsWith('\n') ? ['', text] : text.split('\n\n');
  const events = eventLines
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [event = '', users = ''] = line.split(' # Used by ');
      return { event, users: users.split(' ').filter((user) => user !== '') };
    });
  return { events, activeCount: count(counts, 'Active'), busyCount: count(counts, 'Busy') };
}

/**
 * Reads a `user_events_unsettled` text, which only usertrace has: `EVENT address=0xA bit=N state=STATE tasks=T,T` a
 * line, only for words that have not got their event's state.
 */
export function parseUnsettled(text: string): UnsettledWord[] {
  return [...text.matchAll(UNSETTLED)].map(({ groups = {} }) => ({
    event: groups['event'] ?? '',
    address: groups['address'] ?? '',
    bit: Number(groups['bit']),
    state: groups['state'] ?? '',
    tids: (groups['tids'] ?? '').split(',').filter(Boolean).map(Number),
  }));
}

/** Reads a buffer's `stats` text (per_cpu/cpuN/stats). */
export function parseStats(text: string): BufferStats {
  return {
    readCount: count(text, 'read events'),
    lostCount: count(text, 'overrun') + count(text, 'dropped events'),
  };
}

/** A trace text, apart: the comment lines at its beginning, and the lines of events. */
export function splitTrace(text: string): { header: readonly string[]; events: readonly string[] } {
  const lines = text.split('\n').filter((line) => line !== '');
  const firstEvent = lines.findIndex((line) => !line.startsWith('#'));
  return firstEvent < 0
    ? { header: lines, events: [] }
    : { header: lines.slice(0, firstEvent), events: lines.slice(firstEvent) };
}

/** The number after `NAME:` at the beginning of a line; 0 when there is none. */
function count(text: string, name: string): number {
  return Number(new RegExp(`^${name}: (\\d+)$`, 'm').exec(text)?.[1] ?? 0);
}
