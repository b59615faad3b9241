/**
 * Asks the running kernel what it says to definitions: errno, what `error_log` holds afterwards, what
 * `uprobe_events` lists and what the event's format says. Nothing is ever enabled, and what a scenario made is
 * removed before the next.
 */

import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { CORPUS_FILES } from './corpus.sim.ts';
import { inTurn } from './tracefs-turn.sim.ts';

const TRACEFS = '/sys/kernel/tracing';
/** Groups of other tests' probes. */
const OTHERS_GROUP = /^.\d*:usertrace_/u;

/** The answer to one command. */
export interface CommandAnswer {
  /** An error name, or nothing where the kernel took the command. */
  readonly errno?: string;
  /** What error_log says about it, if anything. */
  readonly log?: { readonly text: string; readonly command: string; readonly position: number };
}

/** A scenario with the answers to its commands, and what is there after the last. */
export interface RecordedScenario {
  readonly commands: readonly string[];
  readonly answers: readonly CommandAnswer[];
  readonly listing: readonly string[];
  /** Of every event made: what its format file says behind the common fields. */
  readonly formats: Readonly<Record<string, string>>;
}

/** Whether this machine has a kernel to ask, and we may. */
export function kernelAnswers(): boolean {
  try {
    closeSync(openSync(`${TRACEFS}/uprobe_events`, constants.O_WRONLY | constants.O_APPEND));
    return existsSync(`${TRACEFS}/error_log`);
  } catch {
    return false;
  }
}

/** Makes the files that the corpus names. */
export function makeCorpusFiles(): void {
  mkdirSync(CORPUS_FILES.folder, { recursive: true });
  for (const path of CORPUS_FILES.regular) writeFileSync(path, Buffer.alloc(0x2000));
}

function write(command: string): string | undefined {
  const file = openSync(`${TRACEFS}/uprobe_events`, constants.O_WRONLY | constants.O_APPEND);
  try {
    writeSync(file, Buffer.from(`${command}\n`, 'latin1'));
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'unknown';
  } finally {
    closeSync(file);
  }
}

function listed(): string[] {
  const text = readFileSync(`${TRACEFS}/uprobe_events`, 'latin1');
  return text.split('\n').filter((line) => line !== '' && !OTHERS_GROUP.test(line));
}

function logged(): CommandAnswer['log'] {
  const text = readFileSync(`${TRACEFS}/error_log`, 'latin1');
  const match =
    /\] trace_uprobe: error: (?<text>[^\n]*)\n {2}Command: (?<command>[^]*?)\n(?<spaces> *)\^\n$/.exec(text);
  if (match?.groups === undefined) {
    if (text !== '') throw new Error(`Cannot understand error_log: it says ${JSON.stringify(text)}`);
    return undefined;
  }
  const { text: error = '', command = '', spaces = '' } = match.groups;
  return { text: error, command, position: spaces.length - '  Command: '.length };
}

function formatOf(event: string): string {
  // A path of bytes: the kernel takes letters of latin1 in names.
  const text = readFileSync(Buffer.from(`${TRACEFS}/events/${event}/format`, 'latin1'), 'latin1');
  return text.slice(text.indexOf('\n\n') + 2);
}

/** Has the kernel answer a scenario. What it made is gone afterwards; what others make meanwhile is left alone. */
export function askKernel(commands: readonly string[]): RecordedScenario {
  return inTurn(() => ask(commands));
}

function ask(commands: readonly string[]): RecordedScenario {
  const before = new Set(listed());
  const answers = commands.map((command): CommandAnswer => {
    writeFileSync(`${TRACEFS}/error_log`, '\n');
    const errno = write(command);
    const log = logged();
    return { ...(errno === undefined ? {} : { errno }), ...(log === undefined ? {} : { log }) };
  });
  const listing = listed().filter((line) => !before.has(line));
  const events = [
    ...new Set(listing.map((line) => line.slice(line.indexOf(':') + 1).split(' ', 1)[0] ?? '')),
  ];
  const formats = Object.fromEntries(events.map((event) => [event, formatOf(event)]));
  for (const event of events) write(`-:${event}`);
  return { commands, answers, listing, formats };
}
