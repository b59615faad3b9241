/**
 * What a trace.dat file says besides its events: how to read them, who wrote them, and by which clock. A
 * description never changes; writers take one, readers give one.
 */

/** The format file of one event. */
export interface EventFormatText {
  /** The event's system, such as `user_events`; `ftrace` for the kernel's own. */
  readonly system: string;
  /** The text of `events/SYSTEM/EVENT/format`, one byte a character. */
  readonly text: string;
}

/** What a file says besides its events. Texts have one byte a character. */
export interface TraceDescription {
  /** The text of `events/header_page`. */
  readonly headerPage: string;
  /** The text of `events/header_event`. */
  readonly headerEvent: string;
  readonly formats: readonly EventFormatText[];
  /** Names of the threads that wrote events. */
  readonly commByPid: ReadonlyMap<number, string>;
  /** The clock's name in `trace_clock`, such as `mono`. Readers print seconds only for clocks they know. */
  readonly clock: string;
  /** System, node, release and machine: what `uname -snrm` prints. */
  readonly uname: string;
  /** The program that wrote the file. */
  readonly version: string;
  /** A number of this recording alone. */
  readonly traceId: bigint;
  /** Texts of `per_cpu/cpuN/stats`, which `trace-cmd report --stat` shows. */
  readonly statistics: readonly string[];
}

/** Where a lane's pages lie in a file. A lane is what trace-cmd calls a CPU: one buffer of one thread. */
export interface LanePlace {
  /** The lane's number, printed in brackets. */
  readonly cpu: number;
  /** The first page, from the file's start in bytes. */
  readonly offset: number;
  /** Bytes of pages. */
  readonly size: number;
}

/** The text of `saved_cmdlines`. A line end in a name would be taken for the end of its line. */
export function savedCommandsText(commByPid: ReadonlyMap<number, string>): string {
  let text = '';
  for (const [pid, comm] of commByPid) text += `${pid} ${comm.replaceAll(/[\n\0]/g, '?')}\n`;
  return text;
}
