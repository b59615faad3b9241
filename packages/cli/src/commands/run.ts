/** `usertrace run`: a command with a tree of its own, recorded. */

import { openSync, createWriteStream } from 'node:fs';
import type { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { ProgramText } from '@usertrace/linux';
import { Failure, errorCode } from '../failure.ts';
import { anyEventMatcher } from '../pattern.ts';
import { splitEventOptions } from '../probes/event-choice.ts';
import { RunProbes } from '../probes/run-probes.ts';
import { checkCommand } from '../run/command.ts';
import { givenWords } from '../run/given-texts.ts';
import { RunSession } from '../run/outer.ts';
import { ProbeOutput } from '../run/probe-output.ts';
import type { RunEnd } from '../run/protocol.ts';
import { wholeLines } from '../run/whole-lines.ts';
import type { Follow } from '../serve/following-server.ts';

/** What `usertrace run` was asked for. */
export interface RunOptions {
  readonly mount: string;
  readonly follow?: Follow;
  /** Patterns of events, and definitions of probes that are made for the run. */
  readonly event: readonly string[];
  /** Which hits of these probes are wanted. */
  readonly filter?: string;
  readonly output?: string;
  readonly quiet?: true;
}

/**
 * Runs a command and prints what it records: to a file, else to stderr, so that the command's stdout stays its own.
 *
 * @param words the command
 * @returns the exit code: that of the command
 * @throws {Failure} when it cannot be run
 */
export async function run(words: readonly string[], options: RunOptions): Promise<number> {
  const command = givenWords(words);
  const { patterns, definitions } = splitEventOptions(options.event);
  anyEventMatcher(patterns);
  if (command[0] !== undefined) checkCommand(command[0]);
  const probes = await RunProbes.add({
    definitions,
    // Probes that were added before are in the command as well, for whoever listens to them.
    patterns: ['*'],
    scope: { kind: 'launched' },
    filter: options.filter,
    say,
  });
  try {
    return await runWithProbes(command, { ...options, patterns }, probes);
  } finally {
    probes?.close();
  }
}

async function runWithProbes(
  command: readonly ProgramText[],
  {
    mount,
    follow,
    output,
    quiet,
    patterns,
  }: Omit<RunOptions, 'event'> & { readonly patterns: readonly string[] },
  probes: RunProbes | undefined,
): Promise<number> {
  const file = output === undefined ? undefined : createOutput(output);
  const launcher = probes === undefined ? {} : { launcher: probes };
  const session = new RunSession({
    mount,
    command,
    patterns,
    warn: say,
    ...launcher,
    ...(follow === undefined ? {} : { follow }),
  });
  const printed = new Printed(session, file ?? process.stderr);
  const probeOutput =
    probes === undefined
      ? undefined
      : new ProbeOutput({
          patterns: [...patterns, ...probes.events],
          isCommand: (pid) => session.isCommand(pid),
          sink: file ?? process.stderr,
          warn: say,
        });
  const counts = { eventCount: 0, lostCount: 0 };
  let end: RunEnd;
  try {
    end = await session.ended;
    await printed.treeText;
    await probes?.sync();
  } finally {
    Object.assign(counts, probeOutput?.finish());
  }
  const refusal = file === undefined ? undefined : await printed.end();
  if (!quiet) {
    const eventCount = end.eventCount + counts.eventCount;
    process.stderr.write(
      `usertrace: ${summary({ eventCount, lostCount: end.lostCount + counts.lostCount })}\n`,
    );
  }
  if (refusal !== undefined) {
    throw new Failure(`cannot write ${output}: ${refusal.message}; what it holds is not all`);
  }
  return end.exitCode;
}

/** How many events there were, in words. */
export function summary({ eventCount, lostCount }: Pick<RunEnd, 'eventCount' | 'lostCount'>): string {
  return `${eventCount} ${eventCount === 1 ? 'event' : 'events'} recorded, ${lostCount} lost`;
}

function createOutput(path: string): Writable {
  try {
    return createWriteStream(path, { fd: openSync(path, 'w') });
  } catch (error) {
    throw new Failure(`cannot write ${path}: ${errorCode(error)}; name another file with -o`);
  }
}

/**
 * What is printed of a run. An output that cannot take it is no reason to end CMD: the rest is read and dropped. A reader that went away
 * (`2>&1 | head`) is none of our business.
 */
class Printed {
  /** Resolves when all that the tree has recorded was passed on. */
  readonly treeText: Promise<void>;
  readonly #sink: Writable;
  #refusal: Error | undefined;

  constructor(session: RunSession, sink: Writable) {
    this.#sink = sink;
    const lines = wholeLines();
    sink.on('error', (error: Error) => {
      this.#refusal ??= error;
      lines.unpipe(sink);
      lines.resume();
    });
    this.treeText = finished(session.traceText.pipe(lines)).catch(() => undefined);
    lines.pipe(sink, { end: false });
  }

  /** Ends the output; answers why it could not take all. */
  async end(): Promise<Error | undefined> {
    if (this.#refusal === undefined) {
      this.#sink.end();
      await finished(this.#sink).catch(() => undefined);
    }
    return this.#refusal;
  }
}

function say(text: string): void {
  process.stderr.write(`usertrace: ${text}\n`);
}
