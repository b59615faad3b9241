/** `usertrace run`: a command with a tree of its own, recorded. */

import { openSync, createWriteStream } from 'node:fs';
import type { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { Failure, errorCode } from '../failure.ts';
import { RunSession } from '../run/outer.ts';
import type { RunEnd } from '../run/protocol.ts';

/** What `usertrace run` was asked for. */
export interface RunOptions {
  readonly mount: string;
  readonly event: readonly string[];
  readonly output?: string;
  readonly quiet?: true;
}

/**
 * Runs a command and prints what it records: to a file, else to stderr, so that the command's stdout stays its own.
 *
 * @returns the exit code: that of the command
 * @throws {Failure} when it cannot be run
 */
export async function run(command: readonly string[], options: RunOptions): Promise<number> {
  const file = options.output === undefined ? undefined : createOutput(options.output);
  const session = new RunSession({ mount: options.mount, command, patterns: options.event });
  const printed = file === undefined ? printTo(process.stderr, session) : writeTo(file, session);
  const end = await session.ended;
  const refusal = await printed;
  if (!options.quiet) process.stderr.write(`usertrace: ${summary(end)}\n`);
  if (refusal !== undefined) {
    throw new Failure(`cannot write ${options.output}: ${refusal.message}; what it holds is not all`);
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

/** Copies the text to a file. A file that cannot take it is no reason to end CMD: the rest is read and dropped. */
async function writeTo(file: Writable, session: RunSession): Promise<Error | undefined> {
  session.traceText.pipe(file);
  try {
    await finished(file);
    return undefined;
  } catch (error) {
    session.traceText.resume();
    return error as Error;
  }
}

/** Copies the text to a stream of this process. A reader that went away (`2>&1 | head`) is none of our business. */
async function printTo(stream: Writable, session: RunSession): Promise<undefined> {
  stream.on('error', () => {
    session.traceText.unpipe(stream);
    session.traceText.resume();
  });
  session.traceText.pipe(stream, { end: false });
  await finished(session.traceText).catch(() => undefined);
}
