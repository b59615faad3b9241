/**
 * Malformed texts into every writable file of a served tree, through the real file system.
 *
 * Any errno is an answer; a hang, a dead server or a tree that no longer works is not.
 */
import { mkdir, open, readdir, rmdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { isInTime } from '@usertrace/base';
import type { Server } from '../support/server.ts';
import { Random } from './random.ts';

const MAX_TEXT_BYTES = 5_000;
const HANG_MS = 10_000;
const CHECK_EVERY = 500;

const WORDS = [
  'u:ev u32 value',
  'u:',
  'u:ev',
  '-:ev',
  '!u:ev',
  '-:user_events/ev',
  '0',
  '1',
  '2',
  '-1',
  '99999999999999999999',
  'user_events:ev',
  '!user_events:ev',
  '*:*',
  'user_events:*',
  'nop',
  'local',
  '[mono]',
  'value > 1',
  '!traceoff',
  'u:ev struct s x 20; __rel_loc char[] y',
  'char[4096] z',
  'nooverwrite',
  'mono_raw',
  '0x10',
  '1024',
  '4294967295',
]; // prettier-ignore
const SEPARATORS = ['', ' ', '\n', '\0', ';', ',', ':', '\t', '\r\n', '  '];

function makeText(random: Random): Uint8Array {
  if (random.oneIn(16)) return random.bytes(random.below(MAX_TEXT_BYTES));
  let text = '';
  for (let count = random.below(5); count >= 0; count--) text += random.pick(WORDS) + random.pick(SEPARATORS);
  return random.mutate(new TextEncoder().encode(text));
}

/** Every file below a folder that has a write permission bit. */
async function writableFiles(folder: string): Promise<string[]> {
  const files: string[] = [];
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const file = path.join(folder, entry.name);
    if (entry.isDirectory()) files.push(...(await writableFiles(file)));
    // user_events_data has a target of its own.
    else if (entry.name !== 'user_events_data' && ((await stat(file)).mode & 0o222) !== 0) files.push(file);
  }
  return files;
}

/** @returns `taken`, or the error's name */
async function writeText(file: string, flags: string, text: Uint8Array): Promise<string> {
  try {
    const handle = await open(file, flags);
    try {
      await handle.write(text);
      return 'taken';
    } finally {
      await handle.close();
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    return code;
  }
}

async function withinTime<Value>(what: string, work: Promise<Value>): Promise<Value> {
  if (await isInTime(work, HANG_MS)) return work;
  throw new Error(`${what} hangs`);
}

/**
 * Writes malformed texts.
 *
 * @param seed the same seed writes the same texts to the same files
 * @param runs how many
 * @returns how often each answer came
 * @throws {Error} with the number of the text after which the tree did not work
 */
export async function fuzzTexts(server: Server, seed: number, runs: number): Promise<Map<string, number>> {
  const random = new Random(seed);
  const answers = new Map<string, number>();
  await mkdir(server.path('instances', 'fuzzed'));
  await server.append('dynamic_events', 'u:ev u32 value\n');
  const files = (await writableFiles(server.root)).toSorted();
  for (let run = 0; run < runs; run++) {
    const file = random.pick(files);
    const flags = random.pick(['a', 'r+', 'w']);
    const what = `text ${run} with --seed ${seed} into ${path.relative(server.root, file)}`;
    const answer = await withinTime(what, writeText(file, flags, makeText(random)));
    answers.set(answer, (answers.get(answer) ?? 0) + 1);
    if (answer === 'ENOTCONN' || answer === 'ECONNABORTED') throw new Error(`The server died at ${what}`);
    if (run % CHECK_EVERY !== 0) continue;
    // The texts may have removed it, and switches may be anywhere: what must work is making and listing an event.
    await server.write('dynamic_events', 'u:ev u32 value\n').catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EBUSY') throw error;
    });
    const status = await withinTime(what, server.read('user_events_status'));
    if (!/Active: \d+\n/.test(status)) throw new Error(`The status is broken after ${what}: ${status}`);
  }
  await rmdir(server.path('instances', 'fuzzed'));
  return answers;
}
