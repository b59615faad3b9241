/** Which events to report. */

/** Conditions; an event has to meet all that are given. */
export interface EventFilter {
  /** Whether an event is meant, by its system and name. */
  readonly isEventWanted?: (system: string, event: string) => boolean;
  /** Threads whose events are meant. */
  readonly pids?: ReadonlySet<number>;
  /** The first instant that is meant, in units of the clock. */
  readonly from?: bigint;
  /** The first instant that is too late. */
  readonly until?: bigint;
}
