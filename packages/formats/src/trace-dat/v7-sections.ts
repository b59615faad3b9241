/** The sections of a version 7 file without compression, as bytes. */

import { ByteBuilder } from './byte-builder.ts';
import type { LanePlace, TraceDescription } from './description.ts';
import { FIRST_PAGE_SIZE, OPTION, OPTIONS_POINTER_OFFSET, PAGE_SIZE, SECTION } from './layout.ts';
import {
  putDescriptiveOptions,
  putEmptyText,
  putEventFormats,
  putFtraceFormats,
  putHeaderTexts,
  putSavedCommands,
  putStart,
} from './metadata-bytes.ts';

/** A section's name lies in a strings section; this file has none, and readers only show it. */
const NO_NAME = 0;

/** Where the section that holds all lanes has its header: right behind the first page's own fields. */
const PAGES_SECTION_OFFSET = OPTIONS_POINTER_OFFSET + 8;
/**
 * Its size. trace-cmd 3.1.6 goes from each section to the one behind it, from the first on, in search of section
 * names; this one takes it past the end of the file, before it looks for headers in holes.
 */
const PAGES_SECTION_SIZE = 2n ** 62n;

/** Sections one behind another, and where each starts within them. */
export interface SectionBlock {
  readonly bytes: Uint8Array;
  /** Offsets from the block's start, by the id of the option that points to the section. */
  readonly offsets: ReadonlyMap<number, number>;
}

/**
 * The first page.
 *
 * @param optionsOffset where the options section is
 */
export function encodeV7FirstPage(optionsOffset: number): Uint8Array {
  const page = new ByteBuilder();
  putStart(page, 7);
  page.text('none\0\0').u64(optionsOffset);
  page.u16(SECTION.BUFFER).u16(0).u32(NO_NAME).u64(PAGES_SECTION_SIZE);
  const bytes = new Uint8Array(FIRST_PAGE_SIZE);
  bytes.set(page.built());
  return bytes;
}

/** The sections that tell how to read events: they change when an event appears. */
export function encodeFormatSections(description: TraceDescription): SectionBlock {
  return encodeBlock([
    [SECTION.HEADER_INFO, (into) => putHeaderTexts(into, description)],
    [SECTION.FTRACE_EVENTS, (into) => putFtraceFormats(into, description.formats)],
    [SECTION.EVENT_FORMATS, (into) => putEventFormats(into, description.formats)],
    [SECTION.PRINTK, putEmptyText],
  ]);
}

/** The section with the names of threads, which changes when a thread appears. */
export function encodeCommandSection(description: TraceDescription): SectionBlock {
  return encodeBlock([[SECTION.CMDLINES, (into) => putSavedCommands(into, description)]]);
}

/**
 * The options section.
 *
 * @param description what the file says
 * @param sectionOffsets where the other sections are in the file, by their option's id
 * @param lanes where the pages are
 */
export function encodeOptions(
  description: TraceDescription,
  sectionOffsets: ReadonlyMap<number, number>,
  lanes: readonly LanePlace[],
): Uint8Array {
  const options = new ByteBuilder();
  for (const [id, offset] of sectionOffsets) options.u16(id).u32(8).u64(offset);
  putDescriptiveOptions(options, description);
  options.u16(OPTION.CPUCOUNT).u32(4).u32(lanes.length);
  const buffer = new ByteBuilder();
  buffer.u64(PAGES_SECTION_OFFSET).text(`\0${description.clock}\0`).u32(PAGE_SIZE).u32(lanes.length);
  for (const { cpu, offset, size } of lanes) buffer.u32(cpu).u64(offset).u64(size);
  options.u16(OPTION.BUFFER).u32(buffer.length).bytes(buffer.built());
  options.u16(OPTION.DONE).u32(8).u64(0);
  const section = new ByteBuilder();
  section.u16(SECTION.OPTIONS).u16(0).u32(NO_NAME).u64(options.length).bytes(options.built());
  return section.built();
}

function encodeBlock(parts: readonly [id: number, put: (into: ByteBuilder) => void][]): SectionBlock {
  const block = new ByteBuilder();
  const offsets = new Map<number, number>();
  for (const [id, put] of parts) {
    const body = new ByteBuilder();
    put(body);
    offsets.set(id, block.length);
    block.u16(id).u16(0).u32(NO_NAME).u64(body.length).bytes(body.built());
  }
  return { bytes: block.built(), offsets };
}
