/**
 * Reports in the layout of `trace-cmd report` (3.1.6):
 *
 *     cpus=2
 *              node-1234  [000]  2960.490374: http_request:         method=GET url=/
 *     CPU:1 [55 EVENTS DROPPED]
 *     |______________||_____||____||___________||____________________||
 *       thread's name  pid    lane  time         event                its own text
 */

import type { LostCount } from '../trace-dat/lane-events.ts';
import type { TraceDatFile } from '../trace-dat/trace-dat-file.ts';
import type { EventFilter } from './event-filter.ts';
import { type ReportedEvent, reportedEvents } from './report-events.ts';

const COMM_WIDTH = 16;
const PID_WIDTH = 5;
const EVENT_WIDTH = 21;
const SECONDS_WIDTH = 5;
const COUNT_WIDTH = 12;
const NS_PER_US = 1000n;
const US_PER_S = 1_000_000n;
/** Clocks that trace-cmd takes for nanoseconds; others print as they are. */
const NANOSECOND_CLOCKS: ReadonlySet<string> = new Set([
  'local',
  'global',
  'uptime',
  'perf',
  'mono',
  'mono_raw',
  'tai',
]);
/** What it prints of an event that the file does not describe, thread and time included. */
const UNKNOWN_EVENT_LINE = '[UNKNOWN EVENT][UNKNOWN EVENT] (NULL):               [UNKNOWN EVENT]';

/**
 * A report's lines, without line ends. Texts in events can hold line ends of their own.
 *
 * @param file the file
 * @param filter which events to report
 * @returns texts of one byte a character: write them as latin1, then UTF-8 in events is UTF-8 again
 * @throws {TraceDatError} when compressed pages are damaged
 */
export function* reportText(file: TraceDatFile, filter: EventFilter = {}): Generator<string, void> {
  const isNanoseconds = NANOSECOND_CLOCKS.has(file.description.clock);
  yield `cpus=${file.lanes.length}`;
  for (const event of reportedEvents(file, filter)) {
    if (event.lostBefore !== 0) yield lostLine(event.cpu, event.lostBefore);
    yield event.format === undefined
      ? UNKNOWN_EVENT_LINE
      : eventLine(event, event.format.name, isNanoseconds);
  }
}

function lostLine(cpu: number, lost: LostCount): string {
  return `CPU:${cpu} [${lost === 'unknown' ? '' : `${lost} `}EVENTS DROPPED]`;
}

function eventLine(event: ReportedEvent, name: string, isNanoseconds: boolean): string {
  const { comm, pid, cpu, timestamp } = event;
  const task = `${comm.padStart(COMM_WIDTH)}-${String(pid).padEnd(PID_WIDTH)}`;
  const time = isNanoseconds ? ` ${seconds(timestamp)}` : String(timestamp).padStart(COUNT_WIDTH);
  const own = event.text();
  const text = own.endsWith('\n') ? own.slice(0, -1) : own;
  return `${task} [${String(cpu).padStart(3, '0')}]${time}: ${`${name}:`.padEnd(EVENT_WIDTH)} ${text}`;
}

/** Seconds and microseconds, rounded to the nearest. */
function seconds(timestamp: bigint): string {
  const us = (timestamp + NS_PER_US / 2n) / NS_PER_US;
  const whole = String(us / US_PER_S).padStart(SECONDS_WIDTH);
  return `${whole}.${String(us % US_PER_S).padStart(6, '0')}`;
}
