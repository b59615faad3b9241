/** `usertrace list`: the events of running processes, and those of a running server. */

import {
  eventIdentity,
  KERNEL_ENABLE_BIT,
  PROVIDER_SYSTEM,
  SESSION_COUNT_MASK,
  STANDING_SESSION,
} from '@usertrace/abi';
import {
  eventsOf,
  findProcesses,
  isTracerAlive,
  isWanted,
  purgeSessions,
  type ProcessEvent,
  type ProviderFile,
  type ProviderProcess,
  readSessions,
  type SessionSlot,
} from '@usertrace/recording';
import { coloursFor } from '../colours.ts';
import { Failure } from '../failure.ts';
import type { ServedEvent } from '../tree/mounted-tree.ts';
import type { FormatField } from '../tree/texts.ts';
import { type TreeOptions, chosenTree } from './tree-option.ts';

/** An event of a process, with what a server's event has; several processes may have one of the same name. */
interface ProviderListing extends ServedEvent {
  readonly pid: number;
  readonly comm: string;
  readonly threads: number;
  /**
   * `kernel`: a tracer of user_events; `standing`: the program itself or `usertrace enable`; else a tracer's process.
   */
  readonly listeners: readonly string[];
}

/**
 * Prints every event with its state, who listens, and its fields; with --json as one array.
 *
 * @throws {Failure} when there is neither a server nor a process with events
 */
export function list(options: TreeOptions & { readonly json?: true }): void {
  const found = options.mount === undefined ? processEvents(options.pid) : [];
  const served = servedEvents(options, found.length > 0);
  if (options.json) {
    process.stdout.write(`${JSON.stringify([...served, ...found], undefined, 2)}\n`);
    return;
  }
  if (served.length === 0 && found.length === 0) {
    process.stdout.write('no events: no program has registered one\n');
    return;
  }
  process.stdout.write(`${eventTable(served)}${processTable(found)}`);
}

/** Those of a server. That there is none matters only to those who named one, or when there is nothing else. */
function servedEvents(options: TreeOptions, isOptional: boolean): readonly ServedEvent[] {
  try {
    return chosenTree(options).events();
  } catch (error) {
    if (!(error instanceof Failure) || options.mount !== undefined) throw error;
    if (isOptional) return [];
    const absence =
      options.pid === undefined
        ? 'no process of yours has tracepoints'
        : `process ${options.pid} has no tracepoints`;
    throw new Failure(`${absence}, and ${error.message}`);
  }
}

function processEvents(pid: number | undefined): ProviderListing[] {
  const found = findProcesses({ state: 'alive', access: 'change', ...(pid === undefined ? {} : { pid }) });
  try {
    for (const warning of found.warnings) process.stderr.write(`usertrace: ${warning}\n`);
    return found.processes.flatMap((one) => {
      try {
        return listingsOf(one);
      } catch (error) {
        process.stderr.write(`usertrace: ${(error as Error).message}\n`);
        return [];
      }
    });
  } finally {
    found.close();
  }
}

function listingsOf(one: ProviderProcess): ProviderListing[] {
  const sessionsByFile = new Map(one.files.map((file) => [file, livingSessions(file)]));
  return eventsOf(one).map((found) => {
    const { event, word, files } = found;
    return {
      system: event.system,
      event: event.name,
      id: event.id,
      fields: event.fields.map(
        ({ type, name, offset, size, isSigned }): FormatField => ({ type, name, offset, size, isSigned }),
      ),
      isEnabled: (word & SESSION_COUNT_MASK) !== 0 || isKernelOn(word),
      pid: one.pid,
      comm: one.comm,
      threads: files.filter(({ isProbers }) => !isProbers).length,
      listeners: listenersOf(found, sessionsByFile),
    };
  });
}

/** Those whose tracers live. Others are taken away, so that their events are off, as they have nobody who listens. */
function livingSessions(file: ProviderFile): SessionSlot[] {
  const sessions = readSessions(file);
  const living = sessions.filter(({ slot }) => isTracerAlive(file, slot));
  if (living.length < sessions.length) purgeSessions(file);
  return living;
}

function listenersOf(
  { event, word, files }: ProcessEvent,
  sessionsByFile: ReadonlyMap<ProviderFile, readonly SessionSlot[]>,
): string[] {
  const listeners = new Set<string>(isKernelOn(word) ? ['kernel'] : []);
  for (const file of files) {
    // The same event may have another number in another thread.
    const { index } = file.events().find((other) => eventIdentity(other) === eventIdentity(event)) ?? event;
    for (const { slot, tracerPid, wanted } of sessionsByFile.get(file) ?? []) {
      if (isWanted(wanted, index)) listeners.add(slot === STANDING_SESSION ? 'standing' : `${tracerPid}`);
    }
  }
  return [...listeners];
}

function isKernelOn(word: number): boolean {
  return word >>> KERNEL_ENABLE_BIT === 1;
}

function eventTable(events: readonly ServedEvent[]): string {
  const names = events.map(({ system, event }) => `${system}:${event}`);
  const width = Math.max(0, ...names.map((name) => name.length));
  return events
    .map(
      (event, index) =>
        `${`${names[index]?.padEnd(width)}  ${stateText(event)}  ${fieldsText(event)}`.trimEnd()}\n`,
    )
    .join('');
}

function processTable(events: readonly ProviderListing[]): string {
  const colours = coloursFor(process.stdout);
  const width = Math.max(0, ...events.map((event) => shortName(event).length));
  let text = '';
  let lastPid: number | undefined;
  for (const listing of events) {
    const { pid, comm, threads, listeners } = listing;
    if (pid !== lastPid) {
      text += `${colours.bold(`${comm} ${pid}`)}${threads > 1 ? `, ${threads} threads` : ''}\n`;
    }
    lastPid = pid;
    const who =
      listeners.length === 0 ? '' : `  ${colours.green(`(${listeners.map(listenerText).join(', ')})`)}`;
    text += `  ${`${shortName(listing).padEnd(width)}  ${stateText(listing)}${who}  ${fieldsText(listing)}`.trimEnd()}\n`;
  }
  return text;
}

/** Tracepoints are all of one system; probes have groups. */
function shortName({ system, event }: ProviderListing): string {
  return system === PROVIDER_SYSTEM ? event : `${system}:${event}`;
}

function listenerText(listener: string): string {
  return /^\d+$/.test(listener) ? `tracer ${listener}` : listener;
}

function stateText({ isEnabled }: ServedEvent): string {
  const colours = coloursFor(process.stdout);
  return isEnabled ? colours.green('on ') : colours.dim('off');
}

function fieldsText({ fields }: ServedEvent): string {
  return fields.map(({ type, name }) => `${type} ${name}`).join('; ');
}
