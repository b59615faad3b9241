/**
 * `SimulatedProvider`: a provider file as a program would have it, in a folder of its own, with the real LaneWriter
 * behind it. It stands in this process, but its locks are those of another open file, so tools see a living provider.
 */
import {
  encodeEventEntry,
  LANE_MODE,
  laneSize,
  PROVIDER_FIRST_EVENT_ID,
  PROVIDER_HEADER,
  PROVIDER_LOCK,
  PROVIDER_MAGIC,
  PROVIDER_MAPPED_SIZE,
  PROVIDER_OFFSET,
  PROVIDER_VERSION,
  SESSION,
  SESSION_SLOT_SIZE,
  SESSION_STATE,
  SESSIONS_MAX,
} from '@usertrace/abi';
import { mapShared, providerFileName, tryLockByte, unmapShared } from '@usertrace/linux';
import { DISCARDED, LANE_COMMIT_WORD, LaneWriter } from '@usertrace/ring';
import { closeSync, constants, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A runtime folder for tests. */
export function makeFolder(): string {
  return mkdtempSync(join(tmpdir(), 'usertrace-providers-'));
}

/** Removes a folder and what is in it. */
export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
}

/** Where tools find the providers of a folder. */
export function surroundingsOf(folder: string): { uid: number; environment: Record<string, string> } {
  return { uid: process.getuid?.() ?? 0, environment: { USERTRACE_RUNTIME_DIR: folder } };
}

export class SimulatedProvider {
  readonly path: string;
  readonly tid: number;
  /** Events that were tried since somebody listened. */
  tried = 0;
  readonly #fd: number;
  readonly #header: DataView;
  readonly #words: Int32Array;
  readonly #mappedAddress: number;
  readonly #pageCount: number;
  #lane: { writer: LaneWriter; address: number } | undefined;
  #tableLength = 0;
  #eventCount = 0;
  #isAlive = true;

  /**
   * @param folder of makeFolder()
   * @param tid what it calls its thread and process
   * @param pageCount pages of its lane
   * @param startTicks when it says that its process started
   */
  constructor(folder: string, tid: number = process.pid, pageCount = 16, startTicks = 1) {
    const createdAt = process.hrtime.bigint();
    this.tid = tid;
    this.#pageCount = pageCount;
    this.path = join(folder, providerFileName(process.pid, tid, createdAt));
    this.#fd = openSync(this.path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600);
    const { memory, address } = mapShared(this.#fd, 0, PROVIDER_MAPPED_SIZE);
    this.#mappedAddress = address;
    this.#header = new DataView(memory);
    this.#words = new Int32Array(memory, PROVIDER_OFFSET.words);
    tryLockByte(this.#fd, PROVIDER_LOCK.provider);
    this.#header.setUint32(PROVIDER_HEADER.version, PROVIDER_VERSION, true);
    this.#header.setInt32(PROVIDER_HEADER.pid, process.pid, true);
    this.#header.setInt32(PROVIDER_HEADER.tid, tid, true);
    this.#header.setFloat64(PROVIDER_HEADER.createdAt, Number(createdAt), true);
    this.#header.setFloat64(PROVIDER_HEADER.startTicks, startTicks, true);
    Buffer.from(memory).write('simulated', PROVIDER_HEADER.comm);
    Buffer.from(memory).write(PROVIDER_MAGIC, PROVIDER_HEADER.magic);
  }

  /**
   * Declares an event.
   *
   * @returns its number
   */
  declare(command: string): number {
    const entry = encodeEventEntry('command', command);
    writeSync(this.#fd, entry, 0, entry.length, PROVIDER_OFFSET.events + this.#tableLength);
    this.#tableLength += entry.length;
    this.#header.setUint32(PROVIDER_HEADER.eventTableLength, this.#tableLength, true);
    this.#header.setUint32(PROVIDER_HEADER.eventCount, this.#eventCount + 1, true);
    return this.#eventCount++;
  }

  /** The word of an event. */
  word(event: number): number {
    return this.#words[event] as number;
  }

  /** Sets the word of an event, such as its kernel bit. */
  setWord(event: number, value: number): void {
    this.#words[event] = value;
  }

  get sessionChanges(): number {
    return this.#header.getUint32(PROVIDER_HEADER.sessionChanges, true);
  }

  /** Events that were not written because a session in discard mode had not read. */
  get discarded(): number {
    return this.#lane?.writer.discarded ?? 0;
  }

  /**
   * Writes an event if somebody listens.
   *
   * @param words its payload
   */
  emit(event: number, ...words: number[]): void {
    if ((this.#words[event] as number) === 0) return;
    this.tried++;
    const { writer } = (this.#lane ??= this.#makeLane());
    const now = process.hrtime.bigint();
    const low = Number(BigInt.asIntN(32, now));
    const high = Number(now >> 32n);
    const recordWords = 3 + words.length;
    let delta = (high - writer.high) * 2 ** 32 + ((low >>> 0) - (writer.low >>> 0));
    let { at } = writer;
    if (delta < 0 || delta >= 2 ** 27 || at + recordWords > writer.limit) {
      at = writer.enter(recordWords, low, high);
      if (at === DISCARDED) return;
      delta = 0;
    }
    const memory = writer.words;
    memory[at] = (delta << 5) | (2 + words.length);
    memory[at + 1] = PROVIDER_FIRST_EVENT_ID + event;
    memory[at + 2] = this.tid;
    for (let index = 0; index < words.length; index++) memory[at + 3 + index] = words[index] as number;
    writer.at = at + recordWords;
    if (delta > 0) {
      writer.low = low;
      writer.high = high;
    }
    writer.eventsInPage += 1;
    memory[writer.page + LANE_COMMIT_WORD] = (writer.at - writer.page) * 4 - 16;
  }

  /** Ends as a killed program does: the file stays, its lock is free. */
  die(): void {
    if (!this.#isAlive) return;
    this.#isAlive = false;
    closeSync(this.#fd);
    unmapShared(this.#mappedAddress, PROVIDER_MAPPED_SIZE);
    if (this.#lane !== undefined) unmapShared(this.#lane.address, laneSize(this.#pageCount));
  }

  #makeLane(): { writer: LaneWriter; address: number } {
    const { memory, address } = mapShared(this.#fd, PROVIDER_OFFSET.lane, laneSize(this.#pageCount));
    const writer = new LaneWriter(memory, 0, this.#pageCount, {
      mayOverwrite: (page) => page < this.#firstKept(),
      timePassed: () => undefined,
    });
    this.#header.setUint32(PROVIDER_HEADER.pageCount, this.#pageCount, true);
    return { writer, address };
  }

  /** The first page that a session in discard mode has not read. */
  #firstKept(): number {
    let first = Number.POSITIVE_INFINITY;
    for (let slot = 0; slot < SESSIONS_MAX; slot++) {
      const at = PROVIDER_OFFSET.sessions + slot * SESSION_SLOT_SIZE;
      if (this.#header.getUint32(at + SESSION.state, true) !== SESSION_STATE.active) continue;
      if (this.#header.getUint32(at + SESSION.mode, true) !== LANE_MODE.discard) continue;
      first = Math.min(first, this.#header.getFloat64(at + SESSION.unreadPage, true));
    }
    return first;
  }
}
