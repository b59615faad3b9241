/**
 * Numbers and texts of trace.dat files, versions 6 and 7.
 *
 *     version 6                                    version 7
 *     magic "6" endian long page                   magic "7" endian long page "none" "" u64 ──┐
 *     header_page, header_event                    sections anywhere, each behind 16 bytes:    │
 *     formats of ftrace                              u16 id, u16 flags, u32 name, u64 size     │
 *     formats by system                            options section <───────────────────────────┘
 *     kallsyms, printk, saved_cmdlines               HEADER_INFO  ──> header_page, header_event
 *     u32 CPUs                                       FTRACE_EVENTS, EVENT_FORMATS ──> formats
 *     "options  " {u16 id, u32 size, ...} u16 0      CMDLINES ──> saved_cmdlines
 *     "flyrecord" {u64 offset, u64 size} per CPU     BUFFER: clock, {u32 CPU, u64 offset, u64 size}
 *     u64 size, "[mono]"                             DONE: u64 next options section or 0
 *     pages of each CPU, at a multiple of 4096     pages of each CPU, at a multiple of 4096
 *
 * Source: trace-cmd.dat.v6(5), trace-cmd.dat.v7(5), and files that trace-cmd 3.1.6 wrote: a section's size has 8
 * bytes there, a BUFFER option has a u32 page size behind the clock, and version 6 ends its header with the clock,
 * none of which the manual pages say.
 */

/** What a file starts with, the version's digit not included. */
export const MAGIC: Uint8Array = Uint8Array.of(0x17, 0x08, 0x44, ...Buffer.from('tracing'));

/** Bytes of the page that the first version 7 bytes lie in, and of what is replaced by one write. */
export const FIRST_PAGE_SIZE = 4096;
/** Lanes start at a multiple of this: the page size that our files declare. */
export const PAGE_SIZE = 4096;
/** Where a version 7 file without compression has the offset of its options section: 8-byte aligned. */
export const OPTIONS_POINTER_OFFSET = 24;

/** Bytes before a section's own. */
export const SECTION_HEADER_SIZE = 16;
/** Section flag: what follows is compressed. */
export const SECTION_COMPRESSED = 1;

/** Ids of sections. */
export const SECTION = {
  OPTIONS: 0,
  BUFFER: 3,
  HEADER_INFO: 16,
  FTRACE_EVENTS: 17,
  EVENT_FORMATS: 18,
  PRINTK: 20,
  CMDLINES: 21,
} as const;

/** Ids of options. Those of sections have the section's id and hold its offset. */
export const OPTION = {
  DONE: 0,
  CPUSTAT: 2,
  BUFFER: 3,
  TRACECLOCK: 4,
  UNAME: 5,
  CPUCOUNT: 8,
  VERSION: 9,
  TRACEID: 11,
  HEADER_INFO: 16,
  FTRACE_EVENTS: 17,
  EVENT_FORMATS: 18,
  PRINTK: 20,
  CMDLINES: 21,
} as const;

/** The ten bytes before a version 6 file's options, its CPU table, or the text of a latency tracer. */
export const PART_NAME = {
  OPTIONS: 'options  \0',
  FLYRECORD: 'flyrecord\0',
  LATENCY: 'latency  \0',
} as const;
