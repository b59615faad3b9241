/**
 * `DeclaredEvents`: the events of a prober's file. Their entries are appended to the file's event table and stay; one that is
 * withdrawn is marked in its enable word, and comes back under its number.
 */
import {
  decodeEventTable,
  encodeEventEntry,
  EVENT_FORMAT_MAX,
  EVENT_TABLE_SIZE,
  PROVIDER_EVENTS_MAX,
  PROVIDER_FIRST_EVENT_ID,
  PROVIDER_HEADER,
  PROVIDER_OFFSET,
  SESSION_COUNT_MASK,
  WITHDRAWN_BYTE,
} from '@usertrace/abi';
import { ErrnoError } from '@usertrace/base';
import type { ProviderFile } from './provider-file.ts';
import { changeSessions } from './session-control.ts';

/** How long a tracer that is changing sessions is waited for before an event is added under its eyes, in milliseconds. */
const CONTROL_PATIENCE_MS = 5;

/** An event that is declared by its format. */
export interface FormatEvent {
  readonly system: string;
  /**
   * Its format file.
   *
   * @param id the number that its records carry
   */
  readonly formatText: (id: number) => string;
}

export class DeclaredEvents {
  readonly #file: ProviderFile;
  readonly #numbers: Uint32Array;
  readonly #bytes: Uint8Array;
  readonly #indexByDeclaration = new Map<string, number>();
  #count = 0;
  #tableLength = 0;

  /**
   * @param file opened for change; nobody else adds events to it
   * @param memory of the same file, from its start on
   */
  constructor(file: ProviderFile, memory: ArrayBuffer) {
    this.#file = file;
    this.#numbers = new Uint32Array(memory);
    this.#bytes = new Uint8Array(memory);
  }

  /**
   * Adds an event, or puts one back that was withdrawn. Sessions whose patterns mean it have it then; while a tool holds the
   * sessions' lock for long, they have it when that is done.
   *
   * @returns its number
   * @throws {ErrnoError} ENOSPC when the file has as many events as there can be: another file has room; E2BIG or EINVAL for a format that no
   *   reader would take
   */
  add({ system, formatText }: FormatEvent): number {
    const declaration = `${system}\n${formatText(0)}`;
    const known = this.#indexByDeclaration.get(declaration);
    if (known !== undefined) {
      this.#setWithdrawn(known, 0);
      return known;
    }
    const index = this.#count;
    const entry = entryOf(`${system}\n${formatText(PROVIDER_FIRST_EVENT_ID + index)}`);
    if (index === PROVIDER_EVENTS_MAX || this.#tableLength + entry.length > EVENT_TABLE_SIZE)
      throw new ErrnoError('ENOSPC', `Cannot add the event: ${this.#file.path} has ${index} events`);
    const append = (): void => this.#append(entry);
    const deadline = performance.now() + CONTROL_PATIENCE_MS;
    while (changeSessions(this.#file, undefined, append) === undefined) {
      if (performance.now() < deadline) continue;
      // Who holds the lock looks for new events before it is done (session-control.ts).
      append();
      break;
    }
    this.#indexByDeclaration.set(declaration, index);
    return index;
  }

  /** Takes an event away: it is listed no longer, and nobody can listen to it until the same one is added again. */
  withdraw(index: number): void {
    this.#setWithdrawn(index, 1);
  }

  /** Whether a session wants an event. One load: it may be asked at any time. */
  isOn(index: number): boolean {
    return ((this.#numbers[PROVIDER_OFFSET.words / 4 + index] as number) & SESSION_COUNT_MASK) !== 0;
  }

  #append(entry: Uint8Array): void {
    this.#file.write(entry, PROVIDER_OFFSET.events + this.#tableLength);
    this.#tableLength += entry.length;
    this.#numbers[PROVIDER_HEADER.eventTableLength / 4] = this.#tableLength;
    this.#count += 1;
    this.#numbers[PROVIDER_HEADER.eventCount / 4] = this.#count;
  }

  #setWithdrawn(index: number, value: 0 | 1): void {
    this.#bytes[PROVIDER_OFFSET.words + index * 4 + WITHDRAWN_BYTE] = value;
  }
}

/** @throws {ErrnoError} E2BIG or EINVAL when nobody could read the file with it in its table */
function entryOf(text: string): Uint8Array {
  if (text.length > EVENT_FORMAT_MAX)
    throw new ErrnoError('E2BIG', `Cannot add the event: its format has ${text.length} characters`);
  const entry = encodeEventEntry('format', text);
  if (decodeEventTable(entry, 1).isWhole) return entry;
  throw new ErrnoError(
    'EINVAL',
    `Cannot add the event: its records are too long, or its names are unreadable`,
  );
}
