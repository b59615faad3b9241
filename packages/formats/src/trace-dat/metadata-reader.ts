/** Reads the parts of a trace.dat file that versions 6 and 7 share. Every size and count has a bound. */

import { damaged, type FileCursor } from './file-cursor.ts';
import { OPTION } from './layout.ts';
import type { EventFormatText } from './description.ts';

/** Bounds of what one file may hold; all of them far above what trace-cmd writes for a whole kernel. */
export const BOUND = {
  headerText: 0x1_0000,
  format: 0x10_0000,
  formats: 65_536,
  formatBytes: 0x800_0000,
  name: 4096,
  savedCommands: 0x400_0000,
  option: 0x100_0000,
  options: 65_536,
  lanes: 65_536,
} as const;

/** What options say, as far as it is needed. */
export interface OptionFacts {
  clock: string | undefined;
  uname: string;
  version: string;
  traceId: bigint;
  statistics: string[];
}

export function noOptionFacts(): OptionFacts {
  return { clock: undefined, uname: '', version: '', traceId: 0n, statistics: [] };
}

/** The texts of header_page and header_event. */
export function readHeaderTexts(cursor: FileCursor): { headerPage: string; headerEvent: string } {
  expectText(cursor, 'header_page\0');
  const headerPage = cursor.text(cursor.size(), 'header_page', BOUND.headerText);
  expectText(cursor, 'header_event\0');
  const headerEvent = cursor.text(cursor.size(), 'header_event', BOUND.headerText);
  return { headerPage, headerEvent };
}

/** Formats as they are collected; their number and size in all are bounded. */
export class FormatCollection {
  readonly formats: EventFormatText[] = [];
  #bytes = 0;

  readFtrace(cursor: FileCursor): void {
    this.#readSystem(cursor, 'ftrace');
  }

  readSystems(cursor: FileCursor): void {
    const count = cursor.u32();
    if (count > BOUND.formats) throw damaged(`${count} event systems`);
    for (let index = 0; index < count; index++) {
      this.#readSystem(cursor, cursor.cString('the name of an event system', BOUND.name));
    }
  }

  #readSystem(cursor: FileCursor, system: string): void {
    const count = cursor.u32();
    if (this.formats.length + count > BOUND.formats) throw damaged(`${count} events in a system`);
    for (let index = 0; index < count; index++) {
      const text = cursor.text(cursor.size(), 'the format of an event', BOUND.format);
      this.#bytes += text.length;
      if (this.#bytes > BOUND.formatBytes) throw damaged(`formats of ${this.#bytes} bytes`);
      this.formats.push({ system, text });
    }
  }
}

/** The names of threads. Lines that make no sense are left out. */
export function readSavedCommands(cursor: FileCursor): Map<number, string> {
  const text = cursor.text(cursor.size(), 'the names of threads', BOUND.savedCommands);
  const commByPid = new Map<number, string>();
  for (const line of text.split('\n')) {
    const space = line.indexOf(' ');
    const pid = Number(line.slice(0, space));
    if (space > 0 && Number.isInteger(pid)) commByPid.set(pid, line.slice(space + 1));
  }
  return commByPid;
}

/** Notes what an option says. */
export function noteOption(facts: OptionFacts, id: number, bytes: Uint8Array): void {
  const text = (): string => Buffer.from(bytes).toString('latin1').split('\0', 1)[0] ?? '';
  if (id === OPTION.TRACECLOCK) facts.clock = selectedClock(text());
  else if (id === OPTION.UNAME) facts.uname = text();
  else if (id === OPTION.VERSION) facts.version = text();
  else if (id === OPTION.CPUSTAT) facts.statistics.push(text());
  else if (id === OPTION.TRACEID && bytes.length >= 8) {
    facts.traceId = new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true);
  }
}

/** The clock in brackets of a `trace_clock` text. */
export function selectedClock(text: string): string | undefined {
  return /\[(?<name>[^\]\n]{1,64})\]/.exec(text)?.groups?.['name'];
}

function expectText(cursor: FileCursor, text: string): void {
  if (cursor.text(text.length, 'its header', text.length) !== text) throw damaged('another header');
}
