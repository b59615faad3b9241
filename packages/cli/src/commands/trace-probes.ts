/** `usertrace trace -e`: events of processes as they come, in the layout of `trace`. Needs no server. */

import { type LiveEvent, LiveEvents } from '@usertrace/recording';
import { whenReaderLeaves } from '../lost-reader.ts';
import { anyEventMatcher, eventMatcher } from '../pattern.ts';
import { splitEventOptions } from '../probes/event-choice.ts';
import { EventLines } from '../probes/event-lines.ts';
import { RunProbes, scopeOf, syncProbes } from '../probes/run-probes.ts';
import { FollowedCommand } from '../recording/followed-command.ts';
import { endOfCommand, TurnLoop } from '../recording/turns.ts';
import { checkCommand } from '../run/command.ts';

/** Pauses between turns, in milliseconds. */
const PAUSE_MS = { busy: 1, idle: 20 } as const;
/** A lane so full makes the pause short. */
const BUSY_FILL = 1 / 16;

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
    wantsProcess: (pid) =>
      command.length > 0 ? followed?.isDescendant(pid) === true : (options.pid?.includes(pid) ?? true),
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
  readonly #lines = new EventLines();
  #left: number;

  constructor(count: number) {
    this.#left = count;
  }

  get isDone(): boolean {
    return this.#left <= 0;
  }

  print(events: readonly LiveEvent[]): void {
    const text = this.#lines.text(events.slice(0, this.#left));
    this.#left -= events.length;
    if (text !== '') process.stdout.write(text, 'latin1');
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
