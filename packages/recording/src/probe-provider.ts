/**
 * `ProbeProvider`: the provider file that a prober writes in the name of a process it probes (abi/provider/layout.ts). To tools it
 * is as one that a thread of the process had made: they list its events, listen, record, and recover what it holds.
 *
 * One thread of the prober owns it. Its open file holds the provider's lock, so when the prober dies, however it dies, nobody takes
 * the file for a living one. There is a lane from the first record on; a process that is never hit takes 64 KiB.
 */
import {
  decodeEventTable,
  encodeEventEntry,
  EVENT_FORMAT_MAX,
  EVENT_TABLE_SIZE,
  LANE_MODE,
  laneSize,
  PROVIDER_EVENTS_MAX,
  PROVIDER_FIRST_EVENT_ID,
  PROVIDER_HEADER,
  PROVIDER_LOCK,
  PROVIDER_MAGIC,
  PROVIDER_OFFSET,
  PROVIDER_VERSION,
  SESSION,
  SESSION_COUNT_MASK,
  SESSION_SLOT_SIZE,
  SESSION_STATE,
  SESSIONS_MAX,
  STANDING_SESSION,
  THREAD_NAME,
  THREAD_NAME_SIZE,
  THREAD_NAMES_MAX,
  WITHDRAWN_BYTE,
} from '@usertrace/abi';
import { ErrnoError } from '@usertrace/base';
import { mapShared, providerFileName, type SharedMapping, tryLockByte, unmapShared } from '@usertrace/linux';
import { type LaneOwner, LaneWriter } from '@usertrace/ring';
import { closeSync, constants, openSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { ProviderFile } from './provider-file.ts';
import { changeSessions } from './session-slots.ts';

const COMM_SIZE = 16;
/** How long a tracer that is changing sessions is waited for before an event is added under its eyes, in milliseconds. */
const CONTROL_PATIENCE_MS = 5;

/** The process in whose name a file is. */
export interface ProbedProcess {
  readonly pid: number;
  /** When it started, in clock ticks since boot. */
  readonly startTicks: number;
  /** Its command name, one character a byte. */
  readonly comm: string;
  /** The nearest process with such a file that it descends from. */
  readonly ancestorPid?: number;
  /** CLOCK_MONOTONIC nanoseconds: it may have been hit from then on; left out, from now on. */
  readonly beganAtNs?: bigint;
}

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

export class ProbeProvider implements LaneOwner {
  readonly process: ProbedProcess;
  readonly path: string;
  /** Holds the provider's lock. */
  readonly #fd: number;
  /** Its own, because an open file does not see its own locks. */
  readonly #file: ProviderFile;
  readonly #mapping: SharedMapping;
  readonly #numbers: Uint32Array;
  readonly #doubles: Float64Array;
  readonly #bytes: Buffer;
  readonly #pageCount: number;
  readonly #createdAt: bigint;
  readonly #indexByDeclaration = new Map<string, number>();
  readonly #threadByNameRow = new Map<number, string>();
  #lane: { readonly writer: LaneWriter; readonly mapping: SharedMapping } | undefined;
  #eventCount = 0;
  #tableLength = 0;
  #isOpen = true;

  private constructor(
    path: string,
    fd: number,
    probed: ProbedProcess,
    pageCount: number,
    mapping: SharedMapping,
  ) {
    this.process = probed;
    this.#createdAt = probed.beganAtNs ?? process.hrtime.bigint();
    this.path = path;
    this.#fd = fd;
    this.#pageCount = pageCount;
    this.#mapping = mapping;
    this.#numbers = new Uint32Array(mapping.memory);
    this.#doubles = new Float64Array(mapping.memory);
    this.#bytes = Buffer.from(mapping.memory);
    this.#writeHeader();
    this.#file = ProviderFile.open(path, process.geteuid?.() ?? 0, 'change');
  }

  /**
   * Makes the file.
   *
   * @param folder the runtime folder of the prober's user
   * @param probed the process
   * @param pageCount pages that its lane will have, from LANE_PAGES_MIN to LANE_PAGES_MAX
   * @throws {Error} when the file cannot be made, or the file system has no room or no locks
   */
  static create(folder: string, probed: ProbedProcess, pageCount: number): ProbeProvider {
    const path = join(folder, providerFileName(probed.pid, 0, process.hrtime.bigint()));
    const { O_CREAT, O_EXCL, O_NOFOLLOW, O_RDWR } = constants;
    const fd = openSync(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
    try {
      if (!tryLockByte(fd, PROVIDER_LOCK.provider)) {
        throw new ErrnoError('EAGAIN', `Cannot lock ${path}: somebody else has`);
      }
      // Through an open file of its own: a mapping keeps that open, and would keep the lock.
      const apart = openSync(path, O_RDWR | O_NOFOLLOW);
      try {
        const mapping = mapShared(apart, 0, PROVIDER_OFFSET.events);
        return new ProbeProvider(path, fd, probed, pageCount, mapping);
      } finally {
        closeSync(apart);
      }
    } catch (error) {
      closeSync(fd);
      unlinkSync(path);
      throw error;
    }
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
    const index = this.#eventCount;
    const text = `${system}\n${formatText(PROVIDER_FIRST_EVENT_ID + index)}`;
    if (text.length > EVENT_FORMAT_MAX)
      throw new ErrnoError('E2BIG', `Cannot add the event: its format has ${text.length} characters`);
    const entry = encodeEventEntry('format', text);
    // Nobody could read the file with it in its table.
    if (!decodeEventTable(entry, 1).isWhole)
      throw new ErrnoError(
        'EINVAL',
        `Cannot add the event: its records are too long, or its names are unreadable`,
      );
    if (index === PROVIDER_EVENTS_MAX || this.#tableLength + entry.length > EVENT_TABLE_SIZE)
      throw new ErrnoError('ENOSPC', `Cannot add the event: ${this.path} has ${index} events`);
    const append = (): void => this.#append(entry);
    const deadline = performance.now() + CONTROL_PATIENCE_MS;
    while (changeSessions(this.#file, undefined, append) === undefined) {
      if (performance.now() < deadline) continue;
      // Who holds the lock looks for new events before it is done (session-slots.ts).
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

  /** Stores the name of a thread whose events will be written, one character a byte. */
  setThreadName(tid: number, comm: string): void {
    const row = tid % THREAD_NAMES_MAX;
    const named = `${tid} ${comm}`;
    if (this.#threadByNameRow.get(row) === named) return;
    this.#threadByNameRow.set(row, named);
    const start = PROVIDER_OFFSET.threadNames + row * THREAD_NAME_SIZE;
    this.#numbers[(start + THREAD_NAME.tid) / 4] = 0;
    writeComm(this.#bytes, start + THREAD_NAME.comm, comm);
    this.#numbers[(start + THREAD_NAME.tid) / 4] = tid;
    const changes = PROVIDER_HEADER.threadNameChanges / 4;
    this.#numbers[changes] = ((this.#numbers[changes] as number) + 1) >>> 0;
  }

  /**
   * Writes a record. Records come in the order of their times; one that is older than the one before gets that one's time.
   *
   * @param index the event's number
   * @param tid the thread's
   * @param timeNs CLOCK_MONOTONIC nanoseconds
   * @param entry common fields, which are filled in here, and fields; a multiple of 4 bytes that has room for `length`
   * @param length bytes of it
   * @returns whether it was written; else it is counted as lost
   */
  write(index: number, tid: number, timeNs: bigint, entry: Uint8Array, length: number): boolean {
    const head = new DataView(entry.buffer, entry.byteOffset, 8);
    head.setUint32(0, PROVIDER_FIRST_EVENT_ID + index, true);
    head.setInt32(4, tid, true);
    // Readers take nothing that is older than the file.
    const time = timeNs > this.#createdAt ? timeNs : this.#createdAt;
    return this.#writer().append(entry, length, Number(BigInt.asIntN(32, time)), Number(time >> 32n));
  }

  /** Says that events were lost: readers find them missing between the records before and after. */
  lose(count: number): void {
    if (count > 0) this.#writer().discard(count);
  }

  /** Takes away the sessions of tracers that died. Some system calls; now and then is enough. */
  purgeSessions(): void {
    changeSessions(this.#file, undefined, () => undefined);
  }

  /** Whether records were written that a session without a tracer wanted: they are there for `usertrace recover`. */
  get isKept(): boolean {
    const state = (PROVIDER_OFFSET.sessions + STANDING_SESSION * SESSION_SLOT_SIZE + SESSION.state) / 4;
    return this.#lane !== undefined && this.#numbers[state] === SESSION_STATE.active;
  }

  /** Whether records were written. */
  get hasRecords(): boolean {
    return this.#lane !== undefined;
  }

  /** Lets go of the file, which stays: its process has ended, or is probed no longer. Nothing may be called afterwards. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#file.close();
    closeSync(this.#fd);
    unmapShared(this.#mapping.address, this.#mapping.memory.byteLength);
    if (this.#lane !== undefined)
      unmapShared(this.#lane.mapping.address, this.#lane.mapping.memory.byteLength);
  }

  mayOverwrite(page: number): boolean {
    for (let slot = 0; slot < SESSIONS_MAX; slot++) {
      const start = PROVIDER_OFFSET.sessions + slot * SESSION_SLOT_SIZE;
      if (this.#numbers[(start + SESSION.state) / 4] !== SESSION_STATE.active) continue;
      if (this.#numbers[(start + SESSION.mode) / 4] !== LANE_MODE.discard) continue;
      if ((this.#doubles[(start + SESSION.unreadPage) / 8] as number) <= page) return false;
    }
    return true;
  }

  timePassed(): void {
    this.purgeSessions();
  }

  #writer(): LaneWriter {
    this.#lane ??= this.#makeLane();
    return this.#lane.writer;
  }

  /** @throws {ErrnoError} when there is no memory */
  #makeLane(): { writer: LaneWriter; mapping: SharedMapping } {
    const apart = openSync(this.path, constants.O_RDWR | constants.O_NOFOLLOW);
    try {
      const mapping = mapShared(apart, PROVIDER_OFFSET.lane, laneSize(this.#pageCount));
      const writer = new LaneWriter(mapping.memory, 0, this.#pageCount, this);
      this.#numbers[PROVIDER_HEADER.pageCount / 4] = this.#pageCount;
      return { writer, mapping };
    } finally {
      closeSync(apart);
    }
  }

  #append(entry: Uint8Array): void {
    this.#file.write(entry, PROVIDER_OFFSET.events + this.#tableLength);
    this.#tableLength += entry.length;
    this.#numbers[PROVIDER_HEADER.eventTableLength / 4] = this.#tableLength;
    this.#eventCount += 1;
    this.#numbers[PROVIDER_HEADER.eventCount / 4] = this.#eventCount;
  }

  #setWithdrawn(index: number, value: 0 | 1): void {
    this.#bytes[PROVIDER_OFFSET.words + index * 4 + WITHDRAWN_BYTE] = value;
  }

  #writeHeader(): void {
    const { pid, startTicks, comm, ancestorPid = 0 } = this.process;
    this.#numbers[PROVIDER_HEADER.version / 4] = PROVIDER_VERSION;
    this.#numbers[PROVIDER_HEADER.pid / 4] = pid;
    this.#numbers[PROVIDER_HEADER.ancestorPid / 4] = ancestorPid;
    this.#doubles[PROVIDER_HEADER.createdAt / 8] = Number(this.#createdAt);
    this.#doubles[PROVIDER_HEADER.startTicks / 8] = startTicks;
    writeComm(this.#bytes, PROVIDER_HEADER.comm, comm);
    // The magic last: a file without it is still being made.
    this.#bytes.write(PROVIDER_MAGIC, PROVIDER_HEADER.magic, 'latin1');
  }
}

/** Stores a name with its NUL. */
function writeComm(bytes: Buffer, start: number, comm: string): void {
  bytes.fill(0, start, start + COMM_SIZE);
  bytes.write(comm, start, COMM_SIZE - 1, 'latin1');
}
