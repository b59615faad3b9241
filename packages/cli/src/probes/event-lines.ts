/** `EventLines`: events of programs as lines in the layout of `trace`. */

import { PROVIDER_FIRST_EVENT_ID } from '@usertrace/abi';
import { Cpu, Nanoseconds } from '@usertrace/base';
import type { LiveEvent } from '@usertrace/recording';
import { ClockText, TraceText } from '@usertrace/ring';

const READING = { file: 'trace_pipe', hasOverrun: false } as const;
/** The text is made already. */
const NO_ENTRY = new Uint8Array(0);
const OPTIONS = { irqInfo: true, recordTgid: false, contextInfo: true, annotate: false } as const;

export class EventLines {
  readonly #epoch = process.hrtime.bigint();
  readonly #trace: TraceText;
  /** Of the event that is being written. */
  #comm = '';
  #text = '';

  constructor() {
    this.#trace = new TraceText(READING, new ClockText(this.#epoch, true), OPTIONS, {
      commOf: () => this.#comm,
      tgidOf: () => undefined,
      eventText: () => this.#text,
    });
  }

  /** @returns the lines, one character a byte */
  text(events: readonly LiveEvent[]): string {
    return events.map((event) => this.#lines(event)).join('');
  }

  #lines({ lane, timestamp, tid, comm, name, text, lostBefore }: LiveEvent): string {
    this.#comm = comm;
    const own = text();
    this.#text = `${name}: ${own.endsWith('\n') ? own : `${own}\n`}`;
    // The kernel says no number where there was no room for it.
    const lost = lostBefore === 'unknown' ? `CPU:${lane} [LOST EVENTS]\n` : '';
    return (
      lost +
      this.#trace.lines({
        cpu: Cpu(lane),
        time: Nanoseconds(Number(timestamp - this.#epoch)),
        typeId: PROVIDER_FIRST_EVENT_ID,
        flags: 0,
        preemptCount: 0,
        pid: tid,
        entry: NO_ENTRY,
        lostBefore: lostBefore === 'unknown' ? 0 : lostBefore,
      })
    );
  }
}
