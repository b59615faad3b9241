/**
 * `MountedTree`: a tracefs-shaped tree of a server in another process, through its files.
 *
 * The object holds nothing but the folder's name: every answer is read anew, so it is as true as the file was at
 * that moment. Calls block; a process must not use one on the tree that it serves itself.
 */

import { closeSync, constants, openSync, readFileSync, truncateSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { Failure, errorCode } from '../failure.ts';
import type { EventMatcher } from '../pattern.ts';
import {
  type EventFormat,
  type EventName,
  type UnsettledWord,
  type UseReport,
  parseEventNames,
  parseFormat,
  parseUnsettled,
  parseUseReport,
} from './texts.ts';

/** An event of a running server. */
export interface ServedEvent extends EventName, EventFormat {
  readonly isEnabled: boolean;
}

/** The tree below one folder. */
export class MountedTree {
  readonly folder: string;

  /** @param folder where the tree is mounted */
  constructor(folder: string) {
    this.folder = folder;
  }

  /** The names of all events, in the order of the tree. */
  eventNames(): EventName[] {
    return parseEventNames(this.#read('available_events'));
  }

  /** All events with their fields. One that goes away meanwhile is left out. */
  events(): ServedEvent[] {
    const served: ServedEvent[] = [];
    for (const name of this.eventNames()) {
      const folder = `events/${name.system}/${name.event}`;
      try {
        const format = parseFormat(this.#readNow(`${folder}/format`));
        const isEnabled = this.#readNow(`${folder}/enable`).startsWith('1');
        served.push({ ...name, ...format, isEnabled });
      } catch (error) {
        if (errorCode(error) !== 'ENOENT') throw explain(error, `${this.folder}/${folder}`);
      }
    }
    return served;
  }

  /**
   * Switches every event that is meant. When this returns, the programs' enable words have the new state, or could
   * not be reached.
   *
   * @returns the events that were meant, whatever their state was before
   */
  switchEvents(matches: EventMatcher, isOn: boolean): EventName[] {
    const meant = this.eventNames().filter(({ system, event }) => matches(system, event));
    for (const { system, event } of meant) this.#write(`events/${system}/${event}/enable`, isOn ? '1' : '0');
    return meant;
  }

  /** Who uses which event. */
  useReport(): UseReport {
    return parseUseReport(this.#read('user_events_status'));
  }

  /** The enable words that have not got their event's state. The kernel's own tree does not tell: none then. */
  unsettledWords(): UnsettledWord[] {
    try {
      return parseUnsettled(this.#readNow('user_events_unsettled'));
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return [];
      throw explain(error, this.#path('user_events_unsettled'));
    }
  }

  /**
   * What the buffer holds, as text; reading removes nothing.
   *
   * @returns one character a byte ('latin1'), because programs may record any bytes
   */
  trace(): string {
    return this.#read('trace', 'latin1');
  }

  /** Empties the buffer. */
  clearTrace(): void {
    try {
      truncateSync(this.#path('trace'), 0);
    } catch (error) {
      throw explain(error, this.#path('trace'));
    }
  }

  /**
   * Opens trace_pipe, whose reads remove what they return and fail with EAGAIN when there is nothing.
   *
   * @returns a file descriptor, to be closed by the caller
   */
  openPipe(): number {
    try {
      return openSync(this.#path('trace_pipe'), constants.O_RDONLY | constants.O_NONBLOCK);
    } catch (error) {
      throw explain(error, this.#path('trace_pipe'));
    }
  }

  #path(file: string): string {
    return join(this.folder, file);
  }

  #readNow(file: string, encoding: BufferEncoding = 'utf8'): string {
    return readFileSync(this.#path(file), encoding);
  }

  #read(file: string, encoding?: BufferEncoding): string {
    try {
      return this.#readNow(file, encoding);
    } catch (error) {
      throw explain(error, this.#path(file));
    }
  }

  #write(file: string, text: string): void {
    try {
      const descriptor = openSync(this.#path(file), constants.O_WRONLY);
      try {
        writeSync(descriptor, text);
      } finally {
        closeSync(descriptor);
      }
    } catch (error) {
      throw explain(error, this.#path(file));
    }
  }
}

/** A system call's error on a file of the tree, as something a user can act on. */
export function explain(error: unknown, path: string): unknown {
  switch (errorCode(error)) {
    case 'EACCES':
    case 'EPERM':
      return new Failure(`${path} is not yours to use; run this as the user who started the server`);
    case 'ENOTCONN':
    case 'ECONNABORTED':
    case 'EIO':
      return new Failure(
        `${path} cannot be reached: its server has ended; start it again with \`usertrace serve\``,
      );
    case 'EBUSY':
      return new Failure(`${path} is being read by somebody else; end that reader first`);
    case undefined:
      return error;
    default:
      return new Failure(`${path}: ${(error as Error).message}`);
  }
}
