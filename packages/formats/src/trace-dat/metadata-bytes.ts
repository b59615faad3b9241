/** The parts of a trace.dat file that versions 6 and 7 share, as bytes. */

import { ByteBuilder } from './byte-builder.ts';
import { type EventFormatText, savedCommandsText, type TraceDescription } from './description.ts';
import { MAGIC, OPTION, PAGE_SIZE } from './layout.ts';

const FTRACE_SYSTEM = 'ftrace';
const LITTLE_ENDIAN = 0;
const LONG_SIZE = 8;

/** The file's first bytes: magic, version, byte order, size of long, page size. */
export function putStart(into: ByteBuilder, version: 6 | 7): void {
  into.bytes(MAGIC).text(`${version}\0`).u8(LITTLE_ENDIAN).u8(LONG_SIZE).u32(PAGE_SIZE);
}

/** The texts of header_page and header_event. */
export function putHeaderTexts(into: ByteBuilder, description: TraceDescription): void {
  const { headerPage, headerEvent } = description;
  into.text('header_page\0').u64(headerPage.length).text(headerPage);
  into.text('header_event\0').u64(headerEvent.length).text(headerEvent);
}

/** The formats of the kernel's own events. */
export function putFtraceFormats(into: ByteBuilder, formats: readonly EventFormatText[]): void {
  const own = formats.filter(({ system }) => system === FTRACE_SYSTEM);
  into.u32(own.length);
  for (const { text } of own) into.u64(text.length).text(text);
}

/** All other formats, by their system. */
export function putEventFormats(into: ByteBuilder, formats: readonly EventFormatText[]): void {
  const textsBySystem = new Map<string, string[]>();
  for (const { system, text } of formats) {
    if (system === FTRACE_SYSTEM) continue;
    const texts = textsBySystem.get(system);
    if (texts === undefined) textsBySystem.set(system, [text]);
    else texts.push(text);
  }
  into.u32(textsBySystem.size);
  for (const [system, texts] of textsBySystem) {
    into.text(`${system}\0`).u32(texts.length);
    for (const text of texts) into.u64(text.length).text(text);
  }
}

/** An empty kallsyms or printk part: user-space events need neither. */
export function putEmptyText(into: ByteBuilder): void {
  into.u32(0);
}

/** The names of threads. */
export function putSavedCommands(into: ByteBuilder, description: TraceDescription): void {
  const text = savedCommandsText(description.commByPid);
  into.u64(text.length).text(text);
}

/** The options that describe the recording as a whole. */
export function putDescriptiveOptions(into: ByteBuilder, description: TraceDescription): void {
  putTextOption(into, OPTION.TRACECLOCK, `${clockText(description)}\n`);
  putTextOption(into, OPTION.UNAME, description.uname);
  putTextOption(into, OPTION.VERSION, description.version);
  into.u16(OPTION.TRACEID).u32(8).u64(description.traceId);
  for (const text of description.statistics) putTextOption(into, OPTION.CPUSTAT, text);
}

/** The clock as `trace_clock` shows the one in use. */
export function clockText({ clock }: TraceDescription): string {
  return `[${clock}]`;
}

function putTextOption(into: ByteBuilder, id: number, text: string): void {
  into
    .u16(id)
    .u32(text.length + 1)
    .text(`${text}\0`);
}
