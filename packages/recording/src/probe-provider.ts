/**
 * `ProbeProvider`: the provider file that a prober writes in the name of a process it probes (abi/provider/layout.ts). To tools it
 * is as one that a thread of the process had made: they list its events, listen, record, and recover what it holds.
 *
 * One thread of the prober owns it. Its open file holds the provider's lock, so when the prober dies, however it dies, nobody takes
 * the file for a living one. There is a lane from the first record on; a process that is never hit takes 64 KiB.
 */
import {
  LANE_MODE,
  laneSize,
  PROVIDER_FIRST_EVENT_ID,
  PROVIDER_HEADER,
  PROVIDER_LOCK,
  PROVIDER_MAGIC,
  PROVIDER_OFFSET,
  PROVIDER_VERSION,
  SESSION,
  SESSION_SLOT_SIZE,
  SESSION_STATE,
  SESSIONS_MAX,
  STANDING_SESSION,
} from '@usertrace/abi';
import { ErrnoError } from '@usertrace/base';
import { mapShared, providerFileName, type SharedMapping, tryLockByte, unmapShared } from '@usertrace/linux';
import { type LaneOwner, LaneWriter } from '@usertrace/ring';
import { closeSync, constants, openSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { DeclaredEvents, type FormatEvent } from './declared-events.ts';
import { ProviderFile } from './provider-file.ts';
import { changeSessions } from './session-control.ts';
import { ThreadNameTable, writeComm } from './thread-names.ts';

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
  readonly #pageCount: number;
  readonly #createdAt: bigint;
  readonly #events: DeclaredEvents;
  readonly #threadNames: ThreadNameTable;
  #lane: { readonly writer: LaneWriter; readonly mapping: SharedMapping } | undefined;
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
    this.#writeHeader();
    this.#file = ProviderFile.open(path, process.geteuid?.() ?? 0, 'change');
    this.#events = new DeclaredEvents(this.#file, mapping.memory);
    this.#threadNames = new ThreadNameTable(mapping.memory);
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
      const mapping = mapApart(path, 0, PROVIDER_OFFSET.events);
      try {
        return new ProbeProvider(path, fd, probed, pageCount, mapping);
      } catch (error) {
        unmapShared(mapping.address, mapping.memory.byteLength);
        throw error;
      }
    } catch (error) {
      closeSync(fd);
      unlinkSync(path);
      throw error;
    }
  }

  /** Adds an event, or puts one back that was withdrawn; as DeclaredEvents.add(). */
  add(event: FormatEvent): number {
    return this.#events.add(event);
  }

  /** Takes an event away; as DeclaredEvents.withdraw(). */
  withdraw(index: number): void {
    this.#events.withdraw(index);
  }

  /** Whether a session wants an event. One load: it may be asked at any time. */
  isOn(index: number): boolean {
    return this.#events.isOn(index);
  }

  /** Stores the name of a thread whose events will be written, one character a byte. */
  setThreadName(tid: number, comm: string): void {
    this.#threadNames.set(tid, comm);
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
    try {
      changeSessions(this.#file, undefined, () => undefined);
    } catch (error) {
      // Somebody has written over the file. Tools refuse it then; the process is probed as before.
      if (!(error instanceof ErrnoError)) throw error;
    }
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
    const mapping = mapApart(this.path, PROVIDER_OFFSET.lane, laneSize(this.#pageCount));
    const writer = new LaneWriter(mapping.memory, 0, this.#pageCount, this);
    this.#numbers[PROVIDER_HEADER.pageCount / 4] = this.#pageCount;
    return { writer, mapping };
  }

  #writeHeader(): void {
    const { pid, startTicks, comm, ancestorPid = 0 } = this.process;
    this.#numbers[PROVIDER_HEADER.version / 4] = PROVIDER_VERSION;
    this.#numbers[PROVIDER_HEADER.pid / 4] = pid;
    this.#numbers[PROVIDER_HEADER.ancestorPid / 4] = ancestorPid;
    this.#doubles[PROVIDER_HEADER.createdAt / 8] = Number(this.#createdAt);
    this.#doubles[PROVIDER_HEADER.startTicks / 8] = startTicks;
    const bytes = Buffer.from(this.#mapping.memory);
    writeComm(bytes, PROVIDER_HEADER.comm, comm);
    // The magic last: a file without it is still being made.
    bytes.write(PROVIDER_MAGIC, PROVIDER_HEADER.magic, 'latin1');
  }
}

/** Maps a part of a file through an open file of its own: a mapping keeps that open, and with it its locks. */
function mapApart(path: string, offset: number, size: number): SharedMapping {
  const apart = openSync(path, constants.O_RDWR | constants.O_NOFOLLOW);
  try {
    return mapShared(apart, offset, size);
  } finally {
    closeSync(apart);
  }
}
