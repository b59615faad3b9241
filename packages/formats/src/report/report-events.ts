/**
 * The events of a file in the order of their times, with their formats and threads: what all reports are made of.
 * An event is given out in one object that is used anew for the following one.
 */

import { COMMON_FIELDS_SIZE, readCommonFields } from '@usertrace/abi';
import { addLost, type LostCount } from '../trace-dat/lane-events.ts';
import { MergedEvents } from '../trace-dat/merged-events.ts';
import type { TraceDatFile } from '../trace-dat/trace-dat-file.ts';
import { EntryView } from './entry-view.ts';
import { type EventFormat, parseEventFormat } from './event-format.ts';
import type { EventFilter } from './event-filter.ts';
import { eventPrinter, type EventPrinter } from './event-printer.ts';

const IDLE_COMM = '<idle>';
const UNKNOWN_COMM = '<...>';

/** One event; it changes when the following one is asked for. */
export interface ReportedEvent {
  timestamp: bigint;
  cpu: number;
  pid: number;
  /** One byte a character; `<...>` when it is not known. */
  comm: string;
  /** Undefined when the file does not say how to read the event. */
  format: EventFormat | undefined;
  /** Events of this lane lost before this one, those that a filter hides included. */
  lostBefore: LostCount;
  readonly entry: EntryView;
  /** The event's own text. */
  text(): string;
}

interface KnownEvent {
  readonly format: EventFormat;
  readonly isWanted: boolean;
  print: EventPrinter | undefined;
}

/**
 * The events that a filter lets through, in the order of their times.
 *
 * @throws {TraceDatError} when compressed pages are damaged
 */
export function* reportedEvents(
  file: TraceDatFile,
  filter: EventFilter = {},
): Generator<ReportedEvent, void> {
  const knownById = knownEvents(file, filter);
  const { commByPid } = file.description;
  const entry = new EntryView();
  let known: KnownEvent | undefined;
  const event: ReportedEvent = {
    timestamp: 0n,
    cpu: 0,
    pid: 0,
    comm: '',
    format: undefined,
    lostBefore: 0,
    entry,
    text: () => (known === undefined ? '' : (known.print ??= eventPrinter(known.format))(entry)),
  };
  const hiddenLosses = new Map<number, LostCount>();
  const events = new MergedEvents(file);
  for (let lane = events.advance(); lane !== undefined; lane = events.advance()) {
    const bytes = lane.entry;
    const lost = addLost(hiddenLosses.get(lane.cpu) ?? 0, lane.lostBefore);
    const { timestamp } = lane;
    const isWhole = bytes.length >= COMMON_FIELDS_SIZE;
    const { type, pid } = isWhole ? readCommonFields(bytes) : { type: -1, pid: 0 };
    known = knownById.get(type);
    const isWanted =
      isWhole &&
      (known === undefined ? filter.isEventWanted === undefined : known.isWanted) &&
      (filter.pids === undefined || filter.pids.has(pid)) &&
      (filter.from === undefined || timestamp >= filter.from) &&
      (filter.until === undefined || timestamp < filter.until);
    if (!isWanted) {
      if (lost !== 0) hiddenLosses.set(lane.cpu, lost);
      continue;
    }
    hiddenLosses.delete(lane.cpu);
    entry.set(bytes);
    event.timestamp = timestamp;
    event.cpu = lane.cpu;
    event.pid = pid;
    event.comm = pid === 0 ? IDLE_COMM : (commByPid.get(pid) ?? UNKNOWN_COMM);
    event.format = known?.format;
    event.lostBefore = lost;
    yield event;
  }
}

function knownEvents(file: TraceDatFile, { isEventWanted }: EventFilter): Map<number, KnownEvent> {
  const knownById = new Map<number, KnownEvent>();
  for (const { system, text } of file.description.formats) {
    const format = parseEventFormat(system, text);
    if (format === undefined) continue;
    const isWanted = isEventWanted === undefined || isEventWanted(format.system, format.name);
    knownById.set(format.id, { format, isWanted, print: undefined });
  }
  return knownById;
}
