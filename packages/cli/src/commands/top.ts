/** `usertrace top`: how many events processes write, live. */

import { EventRates, type RatesReport } from '@usertrace/recording';
import { coloursFor } from '../colours.ts';
import { whenReaderLeaves } from '../lost-reader.ts';
import { anyEventMatcher } from '../pattern.ts';
import { splitEventOptions } from '../probes/event-choice.ts';
import { RunProbes, scopeOf } from '../probes/run-probes.ts';
import { countText, counted } from '../recording/quantities.ts';
import { listenForQuit } from '../recording/quit-key.ts';
import { endOfCommand, TurnLoop } from '../recording/turns.ts';

/** Pauses between turns, in milliseconds: short enough for a lane that runs full. */
const PAUSE_MS = { busy: 1, idle: 20 } as const;
/** A lane so full makes the pause short. */
const BUSY_FILL = 1 / 16;
/** Lines for a terminal that does not say how many it has. */
const ROWS_DEFAULT = 24;
/** The same of its width. */
const COLUMNS_DEFAULT = 80;
/** Lines of a screen that are not rates. */
const HEAD_ROWS = 3;
const PID_WIDTH = 8;
const RATE_WIDTH = 14;
const COMM_WIDTH = 16;
/** Goes to the screen's upper left corner and clears it from there (ECMA-48: CUP, ED). */
const CLEAR_SCREEN = '\u001B[H\u001B[J';

/** What `usertrace top` was asked for. */
export interface TopOptions {
  readonly event: readonly string[];
  /** Which hits of the probes among them are wanted. */
  readonly filter?: string;
  readonly pid?: readonly number[];
  readonly intervalMs: number;
  /** Print one interval and end. */
  readonly once?: true;
  readonly json?: true;
}

/** Shows rates until interrupted. While it runs, the events that it counts are on. */
export async function top(options: TopOptions): Promise<void> {
  const { patterns, definitions } = splitEventOptions(options.event);
  anyEventMatcher(patterns);
  const probes = await RunProbes.add({
    definitions,
    patterns,
    filter: options.filter,
    scope: scopeOf([], options.pid),
    say: (text) => process.stderr.write(`usertrace: ${text}\n`),
  });
  try {
    await showRates({ ...options, event: [...patterns, ...(probes?.events ?? [])] }, probes);
  } finally {
    probes?.close();
  }
}

async function showRates(options: TopOptions, probes: RunProbes | undefined): Promise<void> {
  const rates = new EventRates({
    request: { patterns: options.event, matches: anyEventMatcher(options.event), mode: 'overwrite' },
    wantsProcess: (pid) => options.pid?.includes(pid) ?? true,
    warn: (message) => process.stderr.write(`usertrace: ${message}\n`),
  });
  const stop = endOfCommand();
  const { stdout } = process;
  // A reader that went away (`| head`) ends it.
  stdout.on('error', () => stop.abort());
  const forgetReader = await whenReaderLeaves(() => stop.abort());
  const releaseKeys = hasScreen(options) ? listenForQuit(() => stop.abort()) : undefined;
  let shownAt = performance.now();
  try {
    rates.turn();
    await probes?.sync();
    rates.take();
    await new TurnLoop().run(() => {
      const fill = rates.turn();
      const seconds = (performance.now() - shownAt) / 1000;
      if (seconds * 1000 >= options.intervalMs) {
        shownAt = performance.now();
        show(rates.take(), seconds, options);
        if (options.once) stop.abort();
      }
      return fill >= BUSY_FILL ? PAUSE_MS.busy : Math.min(PAUSE_MS.idle, options.intervalMs);
    }, stop.signal);
  } finally {
    releaseKeys?.();
    forgetReader();
    stop.abort();
    rates.stop();
  }
}

function show(report: RatesReport, seconds: number, options: TopOptions): void {
  const { stdout } = process;
  if (options.json) stdout.write(`${JSON.stringify(jsonOf(report, seconds))}\n`);
  else if (hasScreen(options)) {
    const rows = Math.max(1, (stdout.rows || ROWS_DEFAULT) - HEAD_ROWS);
    stdout.write(`${CLEAR_SCREEN}${textOf(report, seconds, rows, stdout.columns || COLUMNS_DEFAULT)}`);
  } else stdout.write(textOf(report, seconds, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY));
}

/** Whether it shows a screen that it draws anew, and no lines. */
function hasScreen({ once, json }: TopOptions): boolean {
  return process.stdout.isTTY && once !== true && json !== true;
}

function jsonOf({ rates, lostByPid }: RatesReport, seconds: number): object {
  return {
    seconds: Math.round(seconds * 1000) / 1000,
    events: rates.map(({ pid, comm, system, event, count }) => ({
      pid,
      comm,
      event: `${system}:${event}`,
      count,
      perSecond: Math.round(count / seconds),
    })),
    lost: [...lostByPid].map(([pid, count]) => ({ pid, count })),
  };
}

/** @param columns a longer line would take two rows of the screen */
function textOf(
  { rates, lostByPid, processes }: RatesReport,
  seconds: number,
  rows: number,
  columns: number,
): string {
  const colours = coloursFor(process.stdout);
  const total = rates.reduce((sum, { count }) => sum + count, 0);
  const lost = [...lostByPid.values()].reduce((sum, count) => sum + count, 0);
  const missed = lost === 0 ? '' : `, ${countText(lost / seconds)}/s too fast to be told apart`;
  const lines = [
    `${counted(processes, 'process', 'processes')}, ${countText(total / seconds)} events/s${missed}`.slice(
      0,
      columns,
    ),
    colours.dim(
      `${'PID'.padStart(PID_WIDTH)}  ${'EVENTS/S'.padStart(RATE_WIDTH)}  ${'COMMAND'.padEnd(COMM_WIDTH)} EVENT`.slice(
        0,
        columns,
      ),
    ),
    ...rates
      .slice(0, rows)
      .map(({ pid, comm, system, event, count }) =>
        `${String(pid).padStart(PID_WIDTH)}  ${countText(count / seconds).padStart(RATE_WIDTH)}  ${comm.padEnd(COMM_WIDTH)} ${system}:${event}`.slice(
          0,
          columns,
        ),
      ),
  ];
  return `${lines.join('\n')}\n`;
}
