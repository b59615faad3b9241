/** `usertrace report`: the events of a trace.dat file as text, in the layout of `trace-cmd report`. */

import {
  type EventFilter,
  nodeFiles,
  reportJson,
  reportText,
  TraceDatError,
  TraceDatFile,
} from '@usertrace/formats';
import { errorCode, Failure } from '../failure.ts';
import { anyEventMatcher } from '../pattern.ts';

/** What is written at once, in characters. */
const CHUNK_LENGTH = 64 * 1024;

/** What `usertrace report` was asked for. */
export interface ReportOptions {
  readonly event?: readonly string[];
  readonly pid?: readonly number[];
  /** Nanoseconds of the file's clock. */
  readonly from?: bigint;
  readonly to?: bigint;
  readonly json?: true;
}

/**
 * Prints the events of a file; with --json one object a line.
 *
 * @throws {Failure} when the file cannot be read
 */
export async function report(path: string, options: ReportOptions): Promise<void> {
  const file = opened(path);
  try {
    const trace = TraceDatFile.read(file);
    for (const warning of trace.warnings) process.stderr.write(`usertrace: ${path}: ${warning}\n`);
    const filter = filterOf(options);
    // Texts of programs are bytes, one a character; JSON is decoded already.
    if (options.json) await print(jsonLines(trace, filter), 'utf8');
    else await print(reportText(trace, filter), 'latin1');
  } catch (error) {
    if (!(error instanceof TraceDatError)) throw error;
    throw new Failure(`${path}: ${error.message}`);
  } finally {
    file.close();
  }
}

function* jsonLines(trace: TraceDatFile, filter: EventFilter): Generator<string, void> {
  for (const event of reportJson(trace, filter)) yield JSON.stringify(event);
}

/** Writes lines, no faster than they are read. A reader that went away (`| head`) ends it. */
async function print(lines: Iterable<string>, encoding: BufferEncoding): Promise<void> {
  const { stdout } = process;
  let isGone = false;
  let goOn: (() => void) | undefined;
  stdout.on('drain', () => goOn?.());
  stdout.on('error', () => {
    isGone = true;
    goOn?.();
  });
  let chunk = '';
  const flush = async (): Promise<void> => {
    const isFull = !stdout.write(chunk, encoding);
    chunk = '';
    if (isFull && !isGone) {
      await new Promise<void>((resolve) => {
        goOn = resolve;
      });
    }
  };
  for (const line of lines) {
    chunk += `${line}\n`;
    if (chunk.length >= CHUNK_LENGTH) await flush();
    if (isGone) return;
  }
  await flush();
}

function filterOf({ event, pid, from, to }: ReportOptions): EventFilter {
  return {
    ...(event === undefined ? {} : { isEventWanted: anyEventMatcher(event) }),
    ...(pid === undefined ? {} : { pids: new Set(pid) }),
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { until: to }),
  };
}

function opened(path: string): ReturnType<ReturnType<typeof nodeFiles>['openToRead']> {
  try {
    return nodeFiles().openToRead(path);
  } catch (error) {
    const code = errorCode(error) ?? (error as Error).message;
    const why = code === 'EINVAL' ? 'it is not a regular file' : code;
    throw new Failure(`cannot read ${path}: ${why}; name a file that \`usertrace record\` wrote`);
  }
}
