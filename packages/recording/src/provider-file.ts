/**
 * `ProviderFile`: one provider file as a tracer sees it, through one descriptor of its own. It reads with pread(2),
 * so a file that is truncated or replaced meanwhile gives a short answer; it never maps the file.
 *
 * Whatever stands in the file, some bug may have written it. Every number is checked against its bounds before it is
 * used, and one that cannot be is an `ErrnoError` that names the file. Nothing is kept but what never changes: who
 * wrote the file, and the events that were read of its table.
 */
import {
  decodeEventTable,
  type ProviderEvent,
  PROVIDER_HEADER,
  PROVIDER_LOCK,
  PROVIDER_OFFSET,
  SESSION_SLOT_SIZE,
  SESSIONS_MAX,
  WITHDRAWN_BYTE,
} from '@usertrace/abi';
import { isByteLocked, isProcessRunning } from '@usertrace/linux';
import { LaneReader } from '@usertrace/ring';
import { closeSync, constants, fstatSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs';
import {
  decodeHeader,
  PROVIDER_HEADER_SIZE,
  type ProviderHeader,
  requireSameProvider,
} from './provider-header.ts';
import { fileError, refusal } from './provider-refusal.ts';
import { decodeThreadNames, THREAD_NAMES_SIZE } from './thread-names.ts';

/** For what a provider file is opened: `change` is for its sessions and words. */
export type ProviderAccess = 'read' | 'change';

export class ProviderFile {
  readonly path: string;
  readonly fd: number;
  /** The header as it was when the file was opened; what identifies the provider never changes. */
  readonly opened: ProviderHeader;
  #events: readonly ProviderEvent[] = [];
  #eventCount = 0;
  #isOpen = true;

  private constructor(path: string, fd: number) {
    this.path = path;
    this.fd = fd;
    this.opened = this.header();
  }

  /**
   * Opens a provider file.
   *
   * @param path the file
   * @param owner the user id that has to own it: its folder's
   * @param access whether sessions will be changed
   * @throws {ErrnoError} when it is not there or not readable; EPERM when it is another's; EPROTO when it is no
   *   provider file, or one of another version; EAGAIN while it is still being made
   */
  static open(path: string, owner: number, access: ProviderAccess = 'read'): ProviderFile {
    // A pipe would make open(2) wait without O_NONBLOCK.
    const mode = access === 'read' ? constants.O_RDONLY : constants.O_RDWR;
    const fd = opened(path, mode | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const stat = fstatSync(fd);
      if (!stat.isFile()) throw refusal('EPROTO', path, 'it is not a regular file');
      if (stat.uid !== owner)
        throw refusal('EPERM', path, `user ${stat.uid} owns it, and its folder user ${owner}`);
      if (stat.size === 0) throw refusal('EAGAIN', path, 'it is still being made; try again');
      return new ProviderFile(path, fd);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  /** Closes the descriptor, and with it all locks that are held through it. */
  close(): void {
    if (this.#isOpen) closeSync(this.fd);
    this.#isOpen = false;
  }

  /** Whether a prober has written it, in the name of the process. */
  get isProbers(): boolean {
    return this.opened.tid === 0;
  }

  /** Whether the thread that made the file still lives, or the prober. */
  get isAlive(): boolean {
    return isByteLocked(this.fd, PROVIDER_LOCK.provider);
  }

  /**
   * Reads the header.
   *
   * @throws {ErrnoError} like open()
   */
  header(): ProviderHeader {
    const header = decodeHeader(this.bytes(PROVIDER_OFFSET.header, PROVIDER_HEADER_SIZE), this.path);
    // Only in the constructor there is nothing yet to compare with.
    const before = this.opened as ProviderHeader | undefined;
    if (before !== undefined) requireSameProvider(header, before, this.path);
    return header;
  }

  /**
   * The events of the table. What was read before is not read again: an entry never changes.
   *
   * @throws {ErrnoError} EPROTO when the table makes no sense
   */
  events(): readonly ProviderEvent[] {
    const { eventCount, eventTableLength } = this.header();
    if (eventCount < this.#eventCount) {
      throw refusal('EPROTO', this.path, `its events went from ${this.#eventCount} to ${eventCount}`);
    }
    if (eventCount > this.#eventCount) {
      const { events, isWhole } = decodeEventTable(
        this.bytes(PROVIDER_OFFSET.events, eventTableLength),
        eventCount,
      );
      if (!isWhole) throw refusal('EPROTO', this.path, `its table does not hold ${eventCount} events`);
      this.#events = events;
      this.#eventCount = eventCount;
    }
    return this.#events;
  }

  /**
   * The enable words of the first events.
   *
   * @param count how many, up to PROVIDER_EVENTS_MAX
   */
  words(count: number): Uint32Array {
    const words = new Uint32Array(count);
    const bytes = Buffer.from(words.buffer);
    bytes.set(this.bytes(PROVIDER_OFFSET.words, count * 4));
    return words;
  }

  /** The numbers of events that a prober has taken away for the time being. */
  withdrawnEvents(): ReadonlySet<number> {
    if (!this.isProbers) return new Set();
    const words = this.words(this.#events.length);
    const withdrawn = this.#events.filter(({ index }) => isWithdrawn(words[index] as number));
    return new Set(withdrawn.map(({ index }) => index));
  }

  /** The slots of all sessions, one behind the other. */
  sessionSlots(): Buffer {
    return this.bytes(PROVIDER_OFFSET.sessions, SESSIONS_MAX * SESSION_SLOT_SIZE);
  }

  /**
   * The names of the threads whose events the lane has.
   *
   * @throws {ErrnoError} EPROTO when the file ends before
   */
  threadNames(): (readonly [tid: number, comm: string])[] {
    const { pid, tid, comm } = this.opened;
    if (!this.isProbers) return [[tid, comm]];
    return [[pid, comm], ...decodeThreadNames(this.bytes(PROVIDER_OFFSET.threadNames, THREAD_NAMES_SIZE))];
  }

  /**
   * A reader of the lane, at its first page.
   *
   * @returns undefined while there is no lane
   */
  laneReader(): LaneReader | undefined {
    const { pageCount } = this.header();
    if (pageCount === 0) return undefined;
    return new LaneReader((into, offset) => this.read(into, PROVIDER_OFFSET.lane + offset), pageCount);
  }

  /**
   * Copies bytes of the file.
   *
   * @returns how many there were
   * @throws {ErrnoError} when the read fails, which a file on tmpfs does not
   */
  read(into: Uint8Array, offset: number): number {
    try {
      return readSync(this.fd, into, 0, into.length, offset);
    } catch (error) {
      throw fileError(error, 'read', this.path);
    }
  }

  /**
   * Writes bytes of the file at once.
   *
   * @throws {ErrnoError} when it was not opened for change
   */
  write(bytes: Uint8Array, offset: number): void {
    try {
      writeSync(this.fd, bytes, 0, bytes.length, offset);
    } catch (error) {
      throw fileError(error, 'change', this.path);
    }
  }

  /**
   * Takes the file of a dead thread or prober away. While its process runs a thread's stays, marked as of no use to anybody: by it
   * the process finds the memory of the thread that it has still mapped, and removes both.
   *
   * @throws {ErrnoError} when it was not opened for change
   */
  discard(): void {
    const { pid, startTicks } = this.opened;
    if (!this.isProbers && isProcessRunning(pid, startTicks))
      this.write(Uint8Array.of(1, 0, 0, 0), PROVIDER_HEADER.ended);
    else unlinkSync(this.path);
  }

  /**
   * Bytes of the file that have to be there.
   *
   * @throws {ErrnoError} EPROTO when it ends before
   */
  bytes(offset: number, length: number): Buffer {
    const bytes = Buffer.alloc(length);
    const count = this.read(bytes, offset);
    if (count < length) throw refusal('EPROTO', this.path, `it ends at byte ${offset + count}`);
    return bytes;
  }
}

function isWithdrawn(word: number): boolean {
  return ((word >>> (8 * WITHDRAWN_BYTE)) & 0xff) !== 0;
}

function opened(path: string, flags: number): number {
  try {
    return openSync(path, flags);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ELOOP') {
      throw refusal('EPROTO', path, 'it is a symbolic link');
    }
    throw fileError(error, 'open', path);
  }
}
