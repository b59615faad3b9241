/** `usertrace trace`: what a running server has recorded, now or as it comes. */

import { once } from 'node:events';
import { closeSync, readSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { errorCode } from '../failure.ts';
import { whenReaderLeaves } from '../lost-reader.ts';
import { splitTrace } from '../tree/texts.ts';
import { type MountedTree, explain } from '../tree/mounted-tree.ts';
import { type TreeOptions, chosenTree } from './tree-option.ts';

/** Bytes asked for in one read. */
const READ_SIZE = 64 * 1024;
/**
 * How often the pipe is looked at, in milliseconds. A read that waits would hold a thread of libuv's pool, and
 * process.exit() waits for such threads for ever.
 */
const LOOK_INTERVAL_MS = 50;

/** What `usertrace trace` was asked for. */
export interface TraceOptions extends TreeOptions {
  readonly follow?: true;
  readonly clear?: true;
  /** Print the last so many events; with `follow` end after so many. */
  readonly count?: number;
}

/** Prints the buffer, or follows it until interrupted. */
export async function trace(options: TraceOptions): Promise<void> {
  const tree = chosenTree(options);
  if (options.clear) tree.clearTrace();
  if (options.follow) await follow(tree, options.count ?? Number.POSITIVE_INFINITY);
  else if (!options.clear) print(lastEvents(tree.trace(), options.count));
}

/** The header of a trace text and its last events; all of them without `count`. */
export function lastEvents(text: string, count: number | undefined): string {
  if (count === undefined) return text;
  const { header, events } = splitTrace(text);
  return [...header, ...events.slice(-count), ''].join('\n');
}

/**
 * Prints events as they come, removing them from the buffer, until `count` of them were printed or nobody takes them any
 * more.
 */
async function follow(tree: MountedTree, count: number): Promise<void> {
  const pipe = tree.openPipe();
  const buffer = Buffer.alloc(READ_SIZE);
  const over = new AbortController();
  process.stdout.once('error', () => over.abort());
  const forgetReader = await whenReaderLeaves(() => over.abort());
  try {
    for (let left = count; left > 0 && !over.signal.aborted; ) {
      const size = readAvailable(pipe, buffer, `${tree.folder}/trace_pipe`);
      const events = leadingLines(buffer.toString('latin1', 0, size), left);
      left -= events.lineCount;
      if (!print(events.text)) await once(process.stdout, 'drain', over);
      if (size === 0) await delay(LOOK_INTERVAL_MS, undefined, over);
    }
  } catch (error) {
    if (!over.signal.aborted) throw error;
  } finally {
    forgetReader();
    closeSync(pipe);
  }
}

/** @returns the bytes read; 0 when there is nothing now */
function readAvailable(pipe: number, buffer: Buffer, path: string): number {
  try {
    return readSync(pipe, buffer);
  } catch (error) {
    if (errorCode(error) === 'EAGAIN') return 0;
    throw explain(error, path);
  }
}

/** The first lines of a text, at most `count`, and how many they are. */
export function leadingLines(text: string, count: number): { text: string; lineCount: number } {
  let lineCount = 0;
  let end = 0;
  while (lineCount < count) {
    const newline = text.indexOf('\n', end);
    if (newline < 0) return { text, lineCount };
    end = newline + 1;
    lineCount++;
  }
  return { text: text.slice(0, end), lineCount };
}

function print(text: string): boolean {
  return process.stdout.write(text, 'latin1');
}
