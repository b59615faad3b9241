/**
 * The provider file: what a thread that declares tracepoints shares with tracers, through memory.
 *
 * Each thread (each isolate) of a program has one, mapped by itself alone: tracers use pread(2) and pwrite(2), so that
 * a file which somebody truncates gives them a short read and not a SIGBUS. Numbers are little-endian.
 *
 * A prober has one for each process that it probes, in the name of that process: all is as in a thread's, but for the thread's
 * id, which is 0. The records of its lane are of any threads, whose names stand in a table of their own, and events may be
 * withdrawn and come back.
 *
 *     0x000000  header          one page, HEADER below
 *     0x001000  enable words    EVENTS_MAX u32, one an event
 *     0x003000  sessions        SESSIONS_MAX slots of SESSION_SLOT_SIZE bytes, SESSION below
 *     0x007000  thread names    THREAD_NAMES_MAX rows of THREAD_NAME below; a prober's only
 *     0x010000  event table     appended to, never changed: entries of event-entry.ts, until 0x110000
 *     0x110000  lane            one page LANE, then a page table, then the pages, from the first enabled event on
 *
 * An enable word has several owners, and each writes only the byte that is its own, whole. A word that is not zero makes
 * the program emit:
 *
 *     bit 31       24 23     16 15        8 7             0
 *         +----------+---------+-----------+---------------+
 *         | kernel   | with-   | attention | sessions that |
 *         | bit 31   | drawn   |           | want the event|
 *         +----------+---------+-----------+---------------+
 *
 * A server that starts after the program sets `attention` to 1, after it has written its folder into the header. The
 * program's following event then looks at the header, and puts the byte back to 0 in all words.
 *
 * A prober sets `withdrawn` to 1 when the probe is gone, and to 0 when the same one is there again. Others leave it 0.
 *
 * Who changes sessions, and the low bytes of the words that follow from them, holds the control lock. A tracer that
 * died leaves a slot whose lock is free; whoever notices takes the slot away and counts the words anew from the slots
 * that are left, which may be done twice without harm. Locks are open-file-description locks (fcntl(2), F_OFD_SETLK)
 * of single bytes behind the end of the file: the kernel frees them when their holder dies, however it dies.
 *
 * The lane's pages are sub-buffers (ring/sub-buffer.ts) which one thread fills in turn. Pages are numbered from 0 as
 * they are begun; page P lies in slot P % pageCount, and has the row of the page table with that number. The writer
 * goes on to page P in this order, each a store of its own (x86-64 keeps stores in order):
 *
 *     1. claimed = P     what was in the slot is no longer there for readers
 *     2. the row of the page table, the page's timestamp, commit = 0
 *     3. begun = P       the page is there
 *     4. for each event: the record, then commit, which takes it in
 *
 * A reader takes `begun` first, then what it wants of pages up to that one, `commit` before the records, and `claimed`
 * last: a page P of what it copied is good when P > claimed - pageCount. So readers never stop the writer, any number of
 * them read at once, and a writer that was killed leaves all events but the one it was in.
 *
 * Counts of events are float64, which JavaScript reads and writes at once and which count exactly to 2^53.
 */

/** First eight bytes of every provider file. */
export const PROVIDER_MAGIC = 'usertrce';
/** Version of all that this file describes. Readers refuse others. */
export const PROVIDER_VERSION = 1;

/** The most events that a provider declares. */
export const PROVIDER_EVENTS_MAX = 2048;
/** The most sessions at a time: as many bits of an enable word's low byte count them. */
export const SESSIONS_MAX = 16;
/** The slot of the session that has no tracer: the program's own, and what `usertrace enable` asks for. */
export const STANDING_SESSION: number = SESSIONS_MAX - 1;
/** Ids of a provider's events: this one for the first, then counting up. */
export const PROVIDER_FIRST_EVENT_ID = 1024;

/** Bit of an enable word that belongs to the kernel's user_events, or to the server that plays it. */
export const KERNEL_ENABLE_BIT = 31;
/** Byte of an enable word that asks the program to look at kernelAnnouncements. */
export const ATTENTION_BYTE = 1;
/** Byte of an enable word that says that the event is not there at present. */
export const WITHDRAWN_BYTE = 2;
/** Bits of an enable word that count user-space sessions. */
export const SESSION_COUNT_MASK = 0xff;

/** Where things start, in bytes. */
export const PROVIDER_OFFSET = {
  header: 0,
  words: 0x1000,
  sessions: 0x3000,
  threadNames: 0x7000,
  events: 0x1_0000,
  lane: 0x11_0000,
} as const;

/** Bytes of a session's slot. */
export const SESSION_SLOT_SIZE = 1024;
/** What a provider maps from its beginning on; the event table is written with pwrite(2). */
export const PROVIDER_MAPPED_SIZE: number = PROVIDER_OFFSET.sessions + SESSIONS_MAX * SESSION_SLOT_SIZE;
/** Bytes that the event table may have. */
export const EVENT_TABLE_SIZE: number = PROVIDER_OFFSET.lane - PROVIDER_OFFSET.events;

/** Fields of the header, as offsets from the file's start. */
export const PROVIDER_HEADER = {
  /** 8 bytes: PROVIDER_MAGIC. Written last: a file without it is still being made. */
  magic: 0,
  /** u32: PROVIDER_VERSION. */
  version: 8,
  /** s32: the process, as it calls itself. */
  pid: 12,
  /** s32: the thread, as it calls itself; 0 in a prober's file. */
  tid: 16,
  /** u32: events in the table; their entries and words are valid before this counts them. */
  eventCount: 20,
  /** u32: bytes of the event table in use, as of eventCount. */
  eventTableLength: 24,
  /** u32: pages of the lane; 0 until there is one. Stored when the lane is ready to be read. */
  pageCount: 28,
  /** f64: CLOCK_MONOTONIC nanoseconds at which the file was made. */
  createdAt: 32,
  /** f64: the process's start time in clock ticks since boot (field 22 of proc_pid_stat(5)). */
  startTicks: 40,
  /** 16 bytes: the command name of the thread (proc_pid_comm(5)), NUL-terminated. */
  comm: 48,
  /** u32: bumped, under the control lock, with every change of sessions and words. */
  sessionChanges: 64,
  /** u32: bumped by a server that wants the provider to look for a user_events file anew. */
  kernelAnnouncements: 68,
  /** u32: bytes of kernelPath. */
  kernelPathLength: 72,
  /** u32: words, from the first on, that may be registered with a user_events file: who unmaps them unregisters them. */
  kernelEvents: 76,
  /** u32: 1 once the thread has ended in good order: nothing here is of interest when its lock is free. */
  ended: 80,
  /** u32: bumped with every name of a thread that is stored. */
  threadNameChanges: 84,
  /** s32: of a prober's file: the nearest process with such a file that the process descends from; 0 when none is known. */
  ancestorPid: 88,
  /** Up to KERNEL_PATH_MAX bytes: the tracefs folder of the server that announced itself last. */
  kernelPath: 128,
} as const;

/** Rows of the table of thread names. A thread has the row of its id's remainder, so a later one may take it. */
export const THREAD_NAMES_MAX = 1800;
/** Bytes of a row of it. */
export const THREAD_NAME_SIZE = 20;
/** Fields of a row, as offsets from its start. */
export const THREAD_NAME = {
  /** s32: the thread; 0 when nobody has the row. */
  tid: 0,
  /** 16 bytes: its command name, NUL-terminated. */
  comm: 4,
} as const;

/** Longest `kernelPath`, in bytes. */
export const KERNEL_PATH_MAX = 1024;

/** Fields of a session's slot, as offsets from its start. */
export const SESSION = {
  /** u32: SESSION_STATE. */
  state: 0,
  /** u32: LANE_MODE that the session asks for. */
  mode: 4,
  /** s32: the tracer's process, as it calls itself; for people, not for decisions. */
  pid: 8,
  /** u32: bytes of patterns. */
  patternsLength: 12,
  /** f64: CLOCK_MONOTONIC nanoseconds at which the session began. */
  startedAt: 16,
  /** f64: the first page of the lane that the session has not read; the writer keeps it in discard mode. */
  unreadPage: 24,
  /** 256 bytes: bit N % 8 of byte N / 8 is set when the session wants event N. */
  wanted: 64,
  /** Up to SESSION_PATTERNS_MAX bytes: patterns of events, each ended by a newline, that also hold for events to come. */
  patterns: 320,
} as const;

/** Longest `patterns`, in bytes. */
export const SESSION_PATTERNS_MAX: number = SESSION_SLOT_SIZE - SESSION.patterns;

/** Values of SESSION.state. */
export const SESSION_STATE = { free: 0, active: 1 } as const;

/** What becomes of events when the lane is full of unread ones. */
export const LANE_MODE = {
  /** The oldest page is overwritten. */
  overwrite: 0,
  /** New events are discarded, and counted, until the session has read a page. */
  discard: 1,
} as const;

/** Fields of the lane's first page, as offsets from its start. */
export const LANE = {
  /** f64: the page that is there last, -1 before the first. */
  begun: 0,
  /** f64: the page whose slot was taken last, -1 before the first. */
  claimed: 8,
  /** f64: events that were discarded. */
  discarded: 16,
} as const;

/** Bytes of the lane's first page. */
export const LANE_HEADER_SIZE = 4096;
/** Bytes of a row of the page table. */
export const PAGE_ROW_SIZE = 16;
/** Fields of a row of the page table, as offsets from its start. */
export const PAGE_ROW = {
  /** f64: events that were taken into earlier pages of this lane. */
  eventsBefore: 0,
  /** f64: events that were discarded before this page. */
  discardedBefore: 8,
} as const;

/** The fewest pages of a lane: one to fill, one to read. */
export const LANE_PAGES_MIN = 4;
/** The most pages of a lane: 1 GiB. */
export const LANE_PAGES_MAX: number = 2 ** 18;
/** Bytes at a page's end that no record uses: readers put the number of lost events there. */
export const LANE_PAGE_RESERVE = 8;

/** Bytes of which the kernel's locks tell who lives, and who may change what. */
export const PROVIDER_LOCK = {
  /** Held by the provider while its thread lives. */
  provider: 0x100_0000_0000,
  /** Held by whoever changes sessions or words. */
  control: 0x100_0000_0001,
  /** That of session 0, held by its tracer; the others' follow. */
  firstSession: 0x100_0000_0010,
} as const;

/** Where the lane's page table starts, in bytes from the lane's start. */
export const PAGE_TABLE_OFFSET: number = LANE_HEADER_SIZE;

/**
 * Where the lane's pages start, in bytes from the lane's start: page-aligned, behind the page table.
 *
 * @param pageCount pages of the lane
 */
export function lanePagesOffset(pageCount: number): number {
  return PAGE_TABLE_OFFSET + Math.ceil((pageCount * PAGE_ROW_SIZE) / 4096) * 4096;
}

/**
 * Bytes of a lane, its first page and page table included.
 *
 * @param pageCount pages of the lane
 */
export function laneSize(pageCount: number): number {
  return lanePagesOffset(pageCount) + pageCount * 4096;
}
