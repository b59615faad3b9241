/** Reports as objects, one an event, for programs. */

import type { TraceDatFile } from '../trace-dat/trace-dat-file.ts';
import type { EntryView } from './entry-view.ts';
import type { FormatField } from './event-format.ts';
import type { EventFilter } from './event-filter.ts';
import { hexBytes } from './print-arithmetic.ts';
import { reportedEvents } from './report-events.ts';

/**
 * A field's value. Numbers that a double does not hold exactly are decimal texts; bytes and structs are hex
 * texts, two digits a byte; texts are decoded from UTF-8.
 */
export type JsonFieldValue = number | string;

/** One event. */
export interface JsonEvent {
  /** Nanoseconds of the clock, in decimal: a double would round them. */
  readonly ts: string;
  /** The lane. */
  readonly cpu: number;
  readonly pid: number;
  readonly comm: string;
  /** Absent together with `event` and `fields` when the file does not describe the event. */
  readonly system?: string;
  readonly event?: string;
  readonly fields?: Readonly<Record<string, JsonFieldValue>>;
  /** Events of this lane lost before this one; absent when there are none. */
  readonly lost?: number | 'unknown';
}

/**
 * A report's events.
 *
 * @param file the file
 * @param filter which events to report
 * @throws {TraceDatError} when compressed pages are damaged
 */
export function* reportJson(file: TraceDatFile, filter: EventFilter = {}): Generator<JsonEvent, void> {
  for (const { timestamp, cpu, pid, comm, format, lostBefore, entry } of reportedEvents(file, filter)) {
    const described =
      format === undefined
        ? {}
        : {
            system: utf8(format.system),
            event: utf8(format.name),
            fields: Object.fromEntries(
              format.fields.map((field) => [utf8(field.name), fieldValue(field, entry)]),
            ),
          };
    const lost = lostBefore === 0 ? {} : { lost: lostBefore };
    yield { ts: timestamp.toString(), cpu, pid, comm: utf8(comm), ...described, ...lost };
  }
}

function fieldValue(field: FormatField, entry: EntryView): JsonFieldValue {
  if (field.isArray) {
    return field.type.includes('char') ? utf8(entry.text(field)) : hexBytes(entry.bytes(field), '');
  }
  if (![1, 2, 4, 8].includes(field.size) || field.type.startsWith('struct ')) {
    return hexBytes(entry.bytes(field), '');
  }
  const value = field.isSigned ? entry.signed(field) : entry.unsigned(field);
  if (typeof value === 'number') return value;
  return Number.isSafeInteger(Number(value)) ? Number(value) : value.toString();
}

function utf8(text: string): string {
  return Buffer.from(text, 'latin1').toString('utf8');
}
