/** `usertrace trace -e`: events of processes as they come, in the layout of `trace`. Needs no server. */

import { existsSync } from 'node:fs';
import { PROVIDER_FIRST_EVENT_ID } from '@usertrace/abi';
import { Cpu, Nanoseconds } from '@usertrace/base';
import { type LiveEvent, LiveEvents } from '@usertrace/recording';
import { ClockText, TraceText } from '@usertrace/ring';
import { whenReaderLeaves } from '../lost-reader.ts';
import { anyEventMatcher, eventMatcher } from '../pattern.ts';
import { splitEventOptions } from '../probes/event-choice.ts';
import { RunProbes, scopeOf, syncProbes } from '../probes/run-probes.ts';
import { FollowedCommand } from '../recording/followed-command.ts';
import { endOfCommand, TurnLoop } from '../recording/turns.ts';
import { checkCommand } from '../run/command.ts';

/** Pauses between turns, in milliseconds. */
const PAUSE_MS = { busy: 1, idle: 20 } as const;
/** A lane so full makes the pause short. */
const BUSY_FILL = 1 / 16;
const READING = { file: 'trace_pipe', hasOverrun: false } as const;
/** The text is made already. */
const NO_ENTRY = new Uint8Array(0);
const OPTIONS = { irqInfo: true, recordTgid: false, contextInfo: true, annotate: false } as const;

/** What `usertrace trace -e` was asked for. */
export interface TraceEventsOptions {
  readonly event: readonly string[];
  /** Which hits of the probes among them are wanted. */
  readonly filter?: string;
  readonly pid?: readonly number[];
  /** End after so many. */
  readonly count?: number;
}

/**
 * Prints events until interrupted, until there were enough, or until the command has ended.
 *
 * @param command what to run and trace; empty traces what runs
 * @returns the exit code: the command's, if there is one
 */
export async function traceEvents(command: readonly string[], options: TraceEventsOptions): Promise<number> {
  const { patterns, definitions } = splitEventOptions(options.event);
  anyEventMatcher(patterns);
  if (command[0] !== undefined) checkCommand(command[0], process.env['PATH'] ?? '');
  const probes = await RunProbes.add({
    definitions,
    patterns,
    scope: scopeOf(command, options.pid),
    filter: options.filter,
    say,
  });
  try {
    const event = [...patterns, ...(probes?.events ?? [])];
    return await follow(command, { ...options, event }, { probes, patterns });
  } finally {
    probes?.close();
  }
}

async function follow(
  command: readonly string[],
  options: TraceEventsOptions,
  { probes, patterns }: { readonly probes: RunProbes | undefined; readonly patterns: readonly string[] },
): Promise<number> {
  const stop = endOfCommand();
  const loop = new TurnLoop();
  process.stdout.on('error', () => stop.abort());
  const forgetReader = await whenReaderLeaves(() => stop.abort());
  let followed: FollowedCommand | undefined;
  const live = new LiveEvents({
    patterns: options.event,
    matches: anyEventMatcher(options.event),
    mode: 'overwrite',
    wantsProcess: (pid, tid) =>
      command.length > 0
        ? followed?.isDescendant(pid) === true ||
          (tid === 0 && (patterns.length === 0 || !existsSync(`/proc/${pid}`)))
        : (options.pid?.includes(pid) ?? true),
    onNews: loop.wake,
    warn: say,
    ...(command.length === 0 ? {} : { beginning: process.hrtime.bigint() }),
  });
  const printer = new EventPrinter(options.count ?? Number.POSITIVE_INFINITY);
  try {
    live.turn();
    if (command.length > 0) {
      const environment = { USERTRACE_ENABLE: options.event.join(',') };
      followed = new FollowedCommand(command, environment, probes);
      await followed.started;
      void followed.ended.then(() => stop.abort());
    } else {
      sayWhatIsAwaited(live, patterns);
      await probes?.sync();
    }
    await loop.run(() => {
      const { events, fill } = live.turn();
      printer.print(events);
      if (printer.isDone) stop.abort();
      return fill >= BUSY_FILL ? PAUSE_MS.busy : PAUSE_MS.idle;
    }, stop.signal);
    await (probes?.sync() ?? syncProbes());
    return (await followed?.ended) ?? 0;
  } finally {
    forgetReader();
    stop.abort();
    printer.print(live.stop());
  }
}

/** Prints lines of `trace`, up to a number of them. */
class EventPrinter {
  readonly #epoch = process.hrtime.bigint();
  readonly #trace: TraceText;
  #left: number;
  /** Of the event that is being printed. */
  #comm = '';
  #text = '';

  constructor(count: number) {
    this.#left = count;
    this.#trace = new TraceText(READING, new ClockText(this.#epoch, true), OPTIONS, {
      commOf: () => this.#comm,
      tgidOf: () => undefined,
      eventText: () => this.#text,
    });
  }

  get isDone(): boolean {
    return this.#left <= 0;
  }

  print(events: readonly LiveEvent[]): void {
    let lines = '';
    for (const event of events.slice(0, this.#left)) lines += this.#lines(event);
    this.#left -= events.length;
    if (lines !== '') process.stdout.write(lines, 'latin1');
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

/** Tells of patterns that mean nothing yet: a name that was mistyped would be waited for in silence. */
function sayWhatIsAwaited(live: LiveEvents, patterns: readonly string[]): void {
  const awaited = patterns.filter((pattern) => !live.has(eventMatcher(pattern)));
  if (awaited.length > 0)
    say(
      `no process has an event called ${awaited.join(' or ')} now: waiting for one; \`usertrace list\` shows those that there are`,
    );
}

function say(text: string): void {
  process.stderr.write(`usertrace: ${text}\n`);
}
