/**
 * Where a CPU's consuming reader is: the sub-buffer that it took out of the ring, and how far it has read it.
 * CpuBuffer holds the only one and gives it another sub-buffer when this one is finished. The writer may still
 * be appending to the sub-buffer, and so finished is not for ever.
 *
 *          |  consumed  |  peeked  |  unread     | not written yet |
 *          +------------+----------+-------------+-----------------+
 *                  position    cursor      dataLength
 */
import { RecordCursor, SUB_BUFFER_HEADER_SIZE } from '@usertrace/abi';
import type { SubBuffer } from './sub-buffer.ts';

const EMPTY_VIEW = new DataView(new ArrayBuffer(SUB_BUFFER_HEADER_SIZE));

/** Where reading begins or goes on. */
export interface ReadPosition {
  readonly subBuffer: SubBuffer;
  /** Bytes from the start of the sub-buffer. */
  readonly position: number;
  /** Nanoseconds from the sub-buffer's start time to the record before the position. */
  readonly elapsedNs: number;
  /** Ordinal of the first event there. */
  readonly ordinal: number;
}

/** What was left of a sub-buffer. */
export interface Rest {
  readonly byteCount: number;
  readonly eventCount: number;
  /** The time from which the first delta counts, in nanoseconds since the epoch. */
  readonly startTime: number;
}

export class ReaderPlace {
  #subBuffer: SubBuffer | undefined = undefined;
  /** Stands on the first unread record if `#isPeeked`, else on the one before. */
  readonly #cursor: RecordCursor = new RecordCursor(EMPTY_VIEW);
  #isPeeked = false;
  #position: number = SUB_BUFFER_HEADER_SIZE;
  #elapsedNs = 0;
  #readCount = 0;

  get subBuffer(): SubBuffer | undefined {
    return this.#subBuffer;
  }

  /** Whether everything that is in the sub-buffer was consumed. */
  get isFinished(): boolean {
    return this.#subBuffer === undefined || this.#readCount === this.#subBuffer.entryCount;
  }

  /** Where the first unread record is or will be; undefined without a sub-buffer. */
  get position(): ReadPosition | undefined {
    const subBuffer = this.#subBuffer;
    if (subBuffer === undefined) return undefined;
    const ordinal = subBuffer.firstOrdinal + this.#readCount;
    return { subBuffer, position: this.#position, elapsedNs: this.#elapsedNs, ordinal };
  }

  /** Goes to the start of another sub-buffer, or to none. */
  enter(subBuffer: SubBuffer | undefined): void {
    this.#subBuffer = subBuffer;
    this.#cursor.reset(subBuffer?.view ?? EMPTY_VIEW);
    this.#isPeeked = false;
    this.#position = SUB_BUFFER_HEADER_SIZE;
    this.#elapsedNs = 0;
    this.#readCount = 0;
  }

  /** The time of the first unread record, in nanoseconds since the epoch. Only while it is not finished. */
  peekTime(): number {
    const subBuffer = this.#subBuffer as SubBuffer;
    if (!this.#isPeeked) {
      this.#cursor.advance(SUB_BUFFER_HEADER_SIZE + subBuffer.dataLength);
      this.#isPeeked = true;
    }
    return subBuffer.startTime + this.#cursor.elapsedNs;
  }

  /** The entry that was peeked: a view. */
  peekedEntry(): Uint8Array {
    const { entryStart, entryLength } = this.#cursor;
    return (this.#subBuffer as SubBuffer).bytes.subarray(entryStart, entryStart + entryLength);
  }

  /**
   * Consumes what was peeked.
   *
   * @returns the bytes of its record
   */
  consumePeeked(): number {
    const byteCount = this.#cursor.position - this.#position;
    this.#isPeeked = false;
    this.#position = this.#cursor.position;
    this.#elapsedNs = this.#cursor.elapsedNs;
    this.#readCount += 1;
    return byteCount;
  }

  /**
   * Copies all unread records to their place in another sub-buffer, and consumes them.
   *
   * @param out a sub-buffer; its header is left alone
   * @param lastTime the time of the CPU's last event, in nanoseconds since the epoch
   */
  consumeRest(out: Uint8Array, lastTime: number): Rest {
    const { bytes, dataLength, entryCount, startTime } = this.#subBuffer as SubBuffer;
    const end = SUB_BUFFER_HEADER_SIZE + dataLength;
    out.set(bytes.subarray(this.#position, end), SUB_BUFFER_HEADER_SIZE);
    const rest = {
      byteCount: end - this.#position,
      eventCount: entryCount - this.#readCount,
      startTime: startTime + this.#elapsedNs,
    };
    this.#position = end;
    this.#cursor.position = end;
    // Only a sub-buffer that still grows is asked for a time after its end, and that one has the last event.
    this.#elapsedNs = lastTime - startTime;
    this.#cursor.elapsedNs = this.#elapsedNs;
    this.#isPeeked = false;
    this.#readCount = entryCount;
    return rest;
  }
}
