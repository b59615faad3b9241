/**
 * Reading without consuming, as the `trace` file does. A Snapshot has one cursor for each CPU it reads; it holds
 * no copy, so between two steps the writer may overwrite the place where a cursor stands, a reader may consume
 * it, and the buffer may be emptied. The cursor notices by its sub-buffer's ordinal, goes on at the oldest record
 * there is, and says how many were overwritten.
 *
 * It ends where the buffer ended when it was made (or had last ended), so that it ends although writers go on.
 */
import { RecordCursor, SUB_BUFFER_HEADER_SIZE } from '@usertrace/abi';
import { type Cpu, assert } from '@usertrace/base';
import type { CpuBuffer } from './cpu-buffer.ts';
import { type TraceRecord, traceRecord } from './trace-record.ts';
import type { SubBuffer } from './sub-buffer.ts';

/** Reads the events of one or all CPUs in the order of their times, and leaves them in the buffer. */
export class Snapshot {
  readonly #cursors: readonly SnapshotCursor[];
  #isAtEnd = false;

  /** @internal RingBuffer.snapshot() makes it. */
  constructor(buffers: readonly { readonly cpu: Cpu; readonly buffer: CpuBuffer }[]) {
    this.#cursors = buffers.map(({ cpu, buffer }) => new SnapshotCursor(cpu, buffer));
  }

  /**
   * The oldest record that was not returned yet.
   *
   * @returns undefined when all that had been written is read; a later call goes on with what was written since.
   *   The record's entry is a view, valid until something is done with the buffer.
   */
  read(): TraceRecord | undefined {
    if (this.#isAtEnd) {
      for (const cursor of this.#cursors) cursor.includeNewEvents();
    }
    let first: SnapshotCursor | undefined;
    let firstTime = Infinity;
    for (const cursor of this.#cursors) {
      const time = cursor.peekTime();
      if (time === undefined || time >= firstTime) continue;
      first = cursor;
      firstTime = time;
    }
    this.#isAtEnd = first === undefined;
    return first?.take();
  }
}

/** The place of a snapshot in one CPU's buffer. */
class SnapshotCursor {
  readonly #cpu: Cpu;
  readonly #buffer: CpuBuffer;
  readonly #cursor: RecordCursor = new RecordCursor(new DataView(new ArrayBuffer(SUB_BUFFER_HEADER_SIZE)));
  #subBuffer: SubBuffer | undefined = undefined;
  /** What the sub-buffer's `firstOrdinal` was; when it is another now, the records are gone. */
  #firstOrdinal = 0;
  /** Ordinal of the first record that was not returned yet. */
  #ordinal: number;
  #endOrdinal: number;
  #overrunSeen: number;
  /** Whether the cursor stands on record `#ordinal`, not on the one before. */
  #isPeeked = false;
  #lost = 0;

  constructor(cpu: Cpu, buffer: CpuBuffer) {
    this.#cpu = cpu;
    this.#buffer = buffer;
    this.#endOrdinal = buffer.recorded;
    this.#overrunSeen = buffer.overrun;
    this.#ordinal = buffer.readPosition()?.ordinal ?? buffer.recorded;
  }

  includeNewEvents(): void {
    this.#endOrdinal = this.#buffer.recorded;
  }

  /** The time of the record to return, in nanoseconds since the epoch; undefined at the end. */
  peekTime(): number | undefined {
    let subBuffer = this.#subBuffer;
    if (subBuffer === undefined || subBuffer.firstOrdinal !== this.#firstOrdinal) {
      subBuffer = this.#findPlace();
    }
    if (!this.#isPeeked) {
      if (subBuffer === undefined || this.#ordinal >= this.#endOrdinal) return undefined;
      while (!this.#cursor.advance(SUB_BUFFER_HEADER_SIZE + subBuffer.dataLength)) {
        const following = this.#buffer.after(subBuffer);
        assert(following !== undefined, 'recorded events are in some sub-buffer');
        // What was between two sub-buffers that are both there was overwritten.
        this.#lost += following.firstOrdinal - this.#ordinal;
        subBuffer = following;
        this.#enter(subBuffer, subBuffer.firstOrdinal);
        if (this.#ordinal >= this.#endOrdinal) return undefined;
      }
      this.#isPeeked = true;
    }
    return (subBuffer as SubBuffer).startTime + this.#cursor.elapsedNs;
  }

  /** Returns the record that peekTime() found. */
  take(): TraceRecord {
    const subBuffer = this.#subBuffer as SubBuffer;
    const { entryStart, entryLength, elapsedNs } = this.#cursor;
    const entry = subBuffer.bytes.subarray(entryStart, entryStart + entryLength);
    const record = traceRecord(this.#cpu, subBuffer.startTime + elapsedNs, entry, this.#lost);
    this.#isPeeked = false;
    this.#ordinal += 1;
    this.#lost = 0;
    return record;
  }

  /** Goes to the oldest record there is, its own place being gone: all that was older is gone too. */
  #findPlace(): SubBuffer | undefined {
    this.#isPeeked = false;
    const place = this.#buffer.readPosition();
    if (place === undefined) {
      this.#subBuffer = undefined;
      return undefined;
    }
    // Not all that is missing was overwritten: some may have been consumed, which is no loss.
    const overwritten = Math.max(0, this.#buffer.overrun - this.#overrunSeen);
    this.#lost += Math.min(overwritten, place.ordinal - this.#ordinal);
    this.#enter(place.subBuffer, place.ordinal);
    this.#cursor.position = place.position;
    this.#cursor.elapsedNs = place.elapsedNs;
    return place.subBuffer;
  }

  #enter(subBuffer: SubBuffer, ordinal: number): void {
    assert(ordinal >= this.#ordinal, 'a snapshot never goes back');
    this.#overrunSeen = this.#buffer.overrun;
    this.#ordinal = ordinal;
    this.#subBuffer = subBuffer;
    this.#firstOrdinal = subBuffer.firstOrdinal;
    this.#cursor.reset(subBuffer.view);
  }
}
