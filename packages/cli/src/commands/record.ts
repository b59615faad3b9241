/** `usertrace record`: events of programs into a file, live, without a server. */

import { setTimeout as delay } from 'node:timers/promises';
import { Recording, type RecordingTotals } from '@usertrace/recording';
import { EXIT, Failure } from '../failure.ts';
import { anyEventMatcher } from '../pattern.ts';
import { FollowedCommand } from '../recording/followed-command.ts';
import { outputFailure } from '../recording/output-failure.ts';
import { counted, countText, sizeText } from '../recording/quantities.ts';
import { StatusLine } from '../recording/status-line.ts';
import { endOfCommand, TurnLoop } from '../recording/turns.ts';
import { splitEventOptions } from '../probes/event-choice.ts';
import { RunProbes, scopeOf, syncProbes } from '../probes/run-probes.ts';
import { checkCommand } from '../run/command.ts';
import { readVersion } from '../version.ts';

/** The variable of @usertrace/tracepoint that has events on from the beginning of a program. */
const ENABLE_VARIABLE = 'USERTRACE_ENABLE';
/** What other programs take for standard output. */
const STANDARD_OUTPUT = '-';
/** How long nobody may be there before the user is told, in milliseconds. */
const QUIET_MS = 200;

/** What `usertrace record` was asked for. */
export interface RecordOptions {
  readonly event: readonly string[];
  /** Which hits of the probes among them are wanted. */
  readonly filter?: string;
  readonly pid?: readonly number[];
  readonly output: string;
  readonly durationMs?: number;
  /** Keep only so many bytes of the newest events. */
  readonly overwrite?: number;
  readonly discard?: true;
  readonly json?: true;
  readonly quiet?: true;
}

/** What --json prints at the end. */
export interface RecordSummary extends Pick<RecordingTotals, 'events' | 'lost' | 'bytes' | 'damagedPages'> {
  readonly file: string;
  readonly threads: number;
  readonly durationMs: number;
  readonly eventsPerSecond: number;
  /** Whether it is a file of version 6; one that is not is of version 7, and can be read too. */
  readonly isFinished: boolean;
}

/**
 * Records until interrupted, until the time is over, or until the command has ended.
 *
 * @param command what to run and record; empty records what runs
 * @returns the exit code: the command's, if there is one
 * @throws {Failure} when the file cannot be written
 */
export async function record(command: readonly string[], options: RecordOptions): Promise<number> {
  const choice = splitEventOptions(options.event);
  anyEventMatcher(choice.patterns);
  if (options.output === STANDARD_OUTPUT || options.output === '') {
    const why = 'a recording is changed while it grows';
    throw new Failure(`cannot record to standard output: ${why}; name a file with -o`, EXIT.usage);
  }
  // A mistyped command leaves the former recording as it is.
  if (command[0] !== undefined) checkCommand(command[0], process.env['PATH'] ?? '');
  const line = new StatusLine(process.stderr, options.quiet !== true);
  const probes = await RunProbes.add({
    ...choice,
    filter: options.filter,
    scope: scopeOf(command, options.pid),
    say: (text) => line.say(`usertrace: ${text}`),
  });
  const patterns = [...choice.patterns, ...(probes?.events ?? [])];
  try {
    return await recordEvents(command, { ...options, event: patterns }, { line, probes });
  } finally {
    probes?.close();
  }
}

/** What a recording has besides its options. */
interface RecordParts {
  readonly line: StatusLine;
  readonly probes: RunProbes | undefined;
}

/** Records events that are there, and those of probes that were made for it. */
async function recordEvents(
  command: readonly string[],
  options: RecordOptions,
  { line, probes }: RecordParts,
): Promise<number> {
  const loop = new TurnLoop();
  let followed: FollowedCommand | undefined;
  const recording = begin(() => {
    const isOurs = (pid: number): boolean =>
      command.length > 0 ? followed?.isDescendant(pid) === true : (options.pid?.includes(pid) ?? true);
    return new Recording({
      path: options.output,
      version: readVersion(),
      patterns: options.event,
      matches: anyEventMatcher(options.event),
      mode: options.discard ? 'discard' : 'overwrite',
      wantsProcess: isOurs,
      onNews: loop.wake,
      warn: (message) => line.say(`usertrace: ${message}`),
      ...(command.length === 0 ? {} : { beginning: process.hrtime.bigint() }),
      ...(options.overwrite === undefined ? {} : { windowSize: options.overwrite }),
    });
  }, options.output);
  const startedAt = performance.now();
  const stop = endOfCommand(options.durationMs);
  let durationMs: number;
  let exitCode = 0;
  try {
    if (command.length > 0) {
      const environment = { [ENABLE_VARIABLE]: startPatterns(options.event) };
      followed = new FollowedCommand(command, environment, probes);
      await followed.started;
      void followed.ended.then(() => stop.abort());
    } else if (probes !== undefined) {
      recording.turn();
      await probes.sync();
    } else explainSilence(recording, options, line, stop.signal);
    await loop.run(() => {
      const pauseMs = recording.turn();
      line.show(() => progressText(recording.totals, startedAt));
      return pauseMs;
    }, stop.signal);
    await (probes?.sync() ?? syncProbes());
    recording.stop();
    durationMs = performance.now() - startedAt;
    // The time is over, and the command may go on.
    if (followed !== undefined) exitCode = await followed.ended;
  } catch (error) {
    stop.abort();
    recording.abandon();
    line.end();
    const failure = outputFailure(error, options.output);
    if (followed === undefined || !(failure instanceof Failure)) throw failure;
    line.say(`usertrace: ${failure.message}; the command goes on`);
    await followed.ended;
    return failure.exitCode;
  }
  await finish(recording, options, line, durationMs);
  return exitCode;
}

async function finish(
  recording: Recording,
  options: RecordOptions,
  line: StatusLine,
  durationMs: number,
): Promise<void> {
  const totals = recording.totals;
  let result;
  try {
    result = await recording.finish((done, total) =>
      line.show(() => `finishing ${options.output}: ${Math.floor((100 * done) / total)} %`),
    );
  } catch (error) {
    line.end();
    throw outputFailure(error, options.output);
  }
  line.end();
  const isFinished = result.state === 'finished';
  if (result.state === 'unfinished' && !options.quiet) {
    line.say(
      `usertrace: ${options.output} stays a file of version 7: ${result.reason}; \`usertrace recover ${options.output}\` finishes it later`,
    );
  }
  const { events, lost, bytes, damagedPages, writerThreads } = totals;
  if (options.json) {
    const summary: RecordSummary = {
      file: options.output,
      events,
      lost,
      bytes,
      damagedPages,
      threads: writerThreads,
      durationMs: Math.round(durationMs),
      eventsPerSecond: Math.round((events * 1000) / durationMs),
      isFinished,
    };
    process.stdout.write(`${JSON.stringify(summary)}\n`);
  } else if (!options.quiet) {
    const rate = countText((events * 1000) / durationMs);
    const from = `${counted(writerThreads, 'thread')} in ${(durationMs / 1000).toFixed(1)} s`;
    const damage = damagedPages > 0 ? `, ${counted(damagedPages, 'damaged page')}` : '';
    line.say(
      `usertrace: ${counted(events, 'event')} of ${from} (${rate}/s), ${countText(lost)} lost${damage}; ` +
        `\`usertrace report ${options.output}\` shows them`,
    );
  }
}

function begin(create: () => Recording, path: string): Recording {
  try {
    return create();
  } catch (error) {
    throw outputFailure(error, path);
  }
}

/** Patterns for the program's own start: events are on before we can have seen it. */
function startPatterns(patterns: readonly string[]): string {
  return [process.env[ENABLE_VARIABLE], ...patterns].filter(Boolean).join(',');
}

/** Says why nothing is recorded, when after a moment there is nobody to record. */
function explainSilence(
  recording: Recording,
  options: RecordOptions,
  line: StatusLine,
  stop: AbortSignal,
): void {
  if (options.quiet) return;
  const explain = (): void => {
    const { threads, eventNames } = recording.totals;
    const whose = options.pid === undefined ? '' : ` of ${options.pid.join(', ')}`;
    if (threads === 0) {
      line.say(
        `usertrace: no process${whose} has tracepoints yet; waiting for one. \`usertrace list\` shows which have`,
      );
    } else if (eventNames === 0) {
      line.say(
        `usertrace: no event${whose} matches ${options.event.join(' ')} yet; waiting for one. \`usertrace list\` shows them`,
      );
    }
  };
  void delay(QUIET_MS, undefined, { signal: stop }).then(explain, () => undefined);
}

function progressText({ events, lost, bytes, processes }: RecordingTotals, startedAt: number): string {
  const seconds = (performance.now() - startedAt) / 1000;
  const rate = countText(events / Math.max(seconds, 0.001));
  return (
    `recording ${counted(processes, 'process', 'processes')}: ${counted(events, 'event')}, ${rate}/s, ` +
    `${countText(lost)} lost, ${sizeText(bytes)}, ${seconds.toFixed(0)} s`
  );
}
