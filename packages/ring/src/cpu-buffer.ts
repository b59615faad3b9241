/**
 * One CPU's part of a ring buffer: the writer's side, and the sub-buffer that its consuming reader works on.
 *
 *      reader           oldest                          newest
 *     +------+         +------+   newer   +------+     +------+      spare: +------+
 *     | part | ······> | full | --------> | full | --> | part |             | free |
 *     | read |         +------+           +------+     +------+             +------+
 *     +------+          \______ at most `capacity` of them ______/
 *
 * As in the kernel, the reader takes the oldest sub-buffer out of the ring, and so what it is reading is never
 * overwritten. Was that the only one, the writer goes on appending to it there, and the ring is empty. A
 * sub-buffer is allocated when its first record is written.
 *
 * `recorded` counts the events ever recorded and never goes back: it is each event's ordinal, by which
 * snapshots find out what happened to their place.
 */
import {
  COMMON_FIELDS_SIZE,
  ENTRY_MAX,
  SUB_BUFFER_DATA_SIZE,
  SUB_BUFFER_HEADER_SIZE,
  TIME_DELTA_LIMIT,
  TIME_EXTEND_SIZE,
  recordLength,
  sealSubBuffer,
} from '@usertrace/abi';
import { type ReadPosition, ReaderPlace } from './reader-place.ts';
import { NO_ORDINAL, SubBuffer } from './sub-buffer.ts';

/** Sub-buffers kept for reuse by one CPU: enough for a reader that keeps up; what is drained goes back. */
const SPARES_MAX = 4;

/** What happened in a CPU's buffer since it was made or emptied. */
export interface CpuCounts {
  /** Events that can be read. */
  readonly entries: number;
  /** Events that were overwritten before anybody consumed them. */
  readonly overrun: number;
  /** Bytes of records that can be read, padding included. */
  readonly bytes: number;
  /** Events that were refused because the buffer was full and does not overwrite. */
  readonly dropped: number;
  /** Events that were consumed. */
  readonly read: number;
  /** The time of the oldest sub-buffer in the ring, in nanoseconds since the epoch; undefined before the first. */
  readonly oldestTime: number | undefined;
}

export class CpuBuffer {
  /** Whether the oldest sub-buffer makes place when the ring is full; else new events are refused. */
  overwrite: boolean;
  #capacity: number;
  #oldest: SubBuffer | undefined = undefined;
  #ringLength = 0;
  /** The sub-buffer being filled: the last of the ring or, when that is empty, the reader's. */
  #newest: SubBuffer | undefined = undefined;
  #lastTime = 0;

  readonly #reader = new ReaderPlace();
  readonly #spares: SubBuffer[] = [];

  #recorded = 0;
  #recordedBefore = 0;
  #overrun = 0;
  #reportedOverrun = 0;
  #lost = 0;
  #dropped = 0;
  #read = 0;
  #bytes = 0;

  constructor(capacity: number, overwrite: boolean) {
    this.#capacity = capacity;
    this.overwrite = overwrite;
  }

  get capacity(): number {
    return this.#capacity;
  }

  /** Events recorded since the buffer was made. */
  get recorded(): number {
    return this.#recorded;
  }

  get overrun(): number {
    return this.#overrun;
  }

  get isEmpty(): boolean {
    return this.#recorded - this.#recordedBefore === this.#overrun + this.#read;
  }

  counts(): CpuCounts {
    return {
      entries: this.#recorded - this.#recordedBefore - this.#overrun - this.#read,
      overrun: this.#overrun,
      bytes: this.#bytes,
      dropped: this.#dropped,
      read: this.#read,
      oldestTime: (this.#oldest ?? this.#reader.subBuffer)?.startTime,
    };
  }

  /** See RingBuffer.write(). */
  write(
    time: number,
    typeId: number,
    flags: number,
    preemptCount: number,
    pid: number,
    payload: Uint8Array,
  ): boolean {
    const entryLength = COMMON_FIELDS_SIZE + payload.length;
    if (entryLength > ENTRY_MAX) return false;
    const length = recordLength(entryLength);
    const now = time < this.#lastTime ? this.#lastTime : time;
    let delta = now - this.#lastTime;
    let extendLength = delta < TIME_DELTA_LIMIT ? 0 : TIME_EXTEND_SIZE;
    let tail = this.#newest;
    if (tail === undefined || tail.usedLength + length + extendLength > SUB_BUFFER_DATA_SIZE) {
      tail = this.#openSubBuffer(now);
      if (tail === undefined) return false;
      delta = 0;
      extendLength = 0;
    }
    tail.append(delta, length, typeId | (flags << 16) | (preemptCount << 24), pid, payload);
    this.#bytes += extendLength + length;
    this.#recorded += 1;
    this.#lastTime = now;
    return true;
  }

  /** Closes the newest sub-buffer and begins another; undefined when the ring is full and may not overwrite. */
  #openSubBuffer(startTime: number): SubBuffer | undefined {
    const full = this.#newest;
    if (full !== undefined) {
      const usedLength = full.usedLength;
      full.close();
      this.#bytes += full.usedLength - usedLength;
    }
    if (this.#ringLength === this.#capacity) {
      if (!this.overwrite) {
        this.#dropped += 1;
        return undefined;
      }
      this.#overwriteOldest();
    }
    const opened = this.#spares.pop() ?? new SubBuffer();
    opened.open(this.#recorded, startTime);
    if (full === undefined || this.#ringLength === 0) this.#oldest = opened;
    else full.newer = opened;
    this.#newest = opened;
    this.#ringLength += 1;
    return opened;
  }

  #overwriteOldest(): void {
    const oldest = this.#takeOldest();
    this.#overrun += oldest.entryCount;
    this.#bytes -= oldest.usedLength;
    this.#retire(oldest);
  }

  #takeOldest(): SubBuffer {
    const oldest = this.#oldest as SubBuffer;
    this.#oldest = oldest.newer;
    oldest.newer = undefined;
    this.#ringLength -= 1;
    return oldest;
  }

  #retire(subBuffer: SubBuffer): void {
    subBuffer.firstOrdinal = NO_ORDINAL;
    if (this.#spares.length < SPARES_MAX) this.#spares.push(subBuffer);
  }

  /** The time of the oldest unread event, in nanoseconds since the epoch; undefined when there is none. */
  peekTime(): number | undefined {
    return this.#hasUnread() ? this.#reader.peekTime() : undefined;
  }

  /** The entry of the event whose time peekTime() returned: a view. */
  peekedEntry(): Uint8Array {
    return this.#reader.peekedEntry();
  }

  /** Events that were overwritten between what was consumed last and what peekTime() found. */
  get lost(): number {
    return this.#lost;
  }

  /** Consumes the event whose time peekTime() returned. */
  consumePeeked(): void {
    this.#bytes -= this.#reader.consumePeeked();
    this.#read += 1;
    this.#lost = 0;
  }

  /** See RingBuffer.readSubBuffer(). */
  readSubBuffer(out: Uint8Array, epochNs: bigint): boolean {
    if (!this.#hasUnread()) return false;
    const { byteCount, eventCount, startTime } = this.#reader.consumeRest(out, this.#lastTime);
    sealSubBuffer(out, epochNs + BigInt(startTime), byteCount, this.#lost);
    this.#bytes -= byteCount;
    this.#read += eventCount;
    this.#lost = 0;
    return true;
  }

  /** Whether the reader has something to read; it takes the oldest sub-buffer when its own is finished. */
  #hasUnread(): boolean {
    if (!this.#reader.isFinished) return true;
    if (this.#ringLength === 0) return false;
    const finished = this.#reader.subBuffer;
    if (finished !== undefined) {
      this.#bytes -= finished.usedLength - finished.dataLength;
      this.#retire(finished);
    }
    this.#reader.enter(this.#takeOldest());
    this.#lost = this.#overrun - this.#reportedOverrun;
    this.#reportedOverrun = this.#overrun;
    return true;
  }

  /** Where the oldest unread event is or will be; undefined while there is no sub-buffer. */
  readPosition(): ReadPosition | undefined {
    const oldest = this.#oldest;
    if (oldest === undefined || !this.#reader.isFinished) return this.#reader.position;
    return {
      subBuffer: oldest,
      position: SUB_BUFFER_HEADER_SIZE,
      elapsedNs: 0,
      ordinal: oldest.firstOrdinal,
    };
  }

  /** The sub-buffer that was filled after a held one and still is there. */
  after(subBuffer: SubBuffer): SubBuffer | undefined {
    return subBuffer === this.#reader.subBuffer ? this.#oldest : subBuffer.newer;
  }

  /** Changes the ring's length. What does not fit any more is overwritten, the oldest first. */
  resize(capacity: number): void {
    this.#capacity = capacity;
    while (this.#ringLength > capacity) this.#overwriteOldest();
    this.#spares.length = 0;
  }

  /** Forgets all events and counts. */
  reset(): void {
    const held = this.#reader.subBuffer;
    if (held !== undefined) held.firstOrdinal = NO_ORDINAL;
    this.#reader.enter(undefined);
    while (this.#ringLength > 0) this.#takeOldest().firstOrdinal = NO_ORDINAL;
    this.#newest = undefined;
    this.#spares.length = 0;
    this.#lastTime = 0;
    this.#recordedBefore = this.#recorded;
    this.#overrun = 0;
    this.#reportedOverrun = 0;
    this.#lost = 0;
    this.#dropped = 0;
    this.#read = 0;
    this.#bytes = 0;
  }
}
