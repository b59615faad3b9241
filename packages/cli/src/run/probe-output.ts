/**
 * `ProbeOutput`: the events of probes in a command that `usertrace run` runs, printed beside those of its tree. It holds a session with
 * each process of the command until `finish`. While the output's reader is slow it reads no further, so that lanes run full and count
 * what they lose, and the command never waits for a terminal.
 */

import type { Writable } from 'node:stream';
import { type LiveEvent, LiveEvents } from '@usertrace/recording';
import { anyEventMatcher } from '../pattern.ts';
import { EventLines } from '../probes/event-lines.ts';
import type { RecordingCounts } from './recorder.ts';

/** Pauses between looks, in milliseconds. */
const PAUSE_MS = { busy: 1, idle: 20 } as const;
/** A lane so full makes the pause short. */
const BUSY_FILL = 1 / 16;

/** What is printed, and where. */
export interface ProbeOutputOptions {
  readonly patterns: readonly string[];
  /** Whether a process is the command's first. */
  readonly isCommand: (pid: number) => boolean;
  /** Takes whole lines. */
  readonly sink: Writable;
  readonly warn: (text: string) => void;
}

export class ProbeOutput {
  readonly #live: LiveEvents;
  readonly #lines = new EventLines();
  readonly #sink: Writable;
  #timer: NodeJS.Timeout | undefined;
  #eventCount = 0;
  #lostCount = 0;

  /** Begins to print. */
  constructor({ patterns, isCommand, sink, warn }: ProbeOutputOptions) {
    this.#sink = sink;
    this.#live = new LiveEvents({
      patterns,
      matches: anyEventMatcher(patterns),
      mode: 'overwrite',
      wantsProcess: (pid, tid) => tid === 0 && isCommand(pid),
      warn,
    });
    this.#turn();
  }

  /** Prints the rest; the prober has to have written it. */
  finish(): RecordingCounts {
    clearTimeout(this.#timer);
    this.#print(this.#live.stop());
    return { eventCount: this.#eventCount, lostCount: this.#lostCount };
  }

  #turn(): void {
    let fill = 0;
    if (!this.#sink.writableNeedDrain) {
      const came = this.#live.turn();
      fill = came.fill;
      this.#print(came.events);
    }
    this.#timer = setTimeout(() => this.#turn(), fill >= BUSY_FILL ? PAUSE_MS.busy : PAUSE_MS.idle);
  }

  #print(events: readonly LiveEvent[]): void {
    if (events.length === 0) return;
    this.#eventCount += events.length;
    for (const { lostBefore } of events) if (lostBefore !== 'unknown') this.#lostCount += lostBefore;
    if (!this.#sink.destroyed) this.#sink.write(this.#lines.text(events), 'latin1');
  }
}
