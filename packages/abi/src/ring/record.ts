/**
 * Records: what a sub-buffer's data consists of, as `events/header_event` says. A RecordCursor walks them.
 *
 *     bit 31            5 4         0
 *        +---------------+-----------+----------------+---------------------------------------+
 *        | time delta    | type_len  | u32 array[0]   | entry, to a multiple of 4 bytes       |
 *        +---------------+-----------+----------------+---------------------------------------+
 *                             |        |
 *                  1..28  ----|        absent: the entry begins here and has type_len * 4 bytes
 *                      0  ----|        4 + the bytes of the entry that follows
 *             29 padding  ----|        4 less than the bytes to skip; delta 0: nothing follows at all
 *             30 extend   ----|        upper bits of the delta: delta += array[0] << 27
 *             31 stamp    ----+        upper bits of an absolute time: (array[0] << 27) + delta
 *
 * A record starts on 4 bytes and never has 12 bytes in all: the kernel keeps 16 for entries of 5 to 8 bytes,
 * so that a record taken back can be turned into a time extend and padding.
 */
import { SUB_BUFFER_DATA_SIZE, SUB_BUFFER_HEADER_SIZE, readSubBufferHeader } from './sub-buffer.ts';

/** The largest type_len that is an entry's length, in words of 4 bytes. */
export const TYPE_LEN_DATA_MAX = 28;
/** type_len of bytes to skip. */
export const TYPE_LEN_PADDING = 29;
/** type_len of a delta that needs more than 27 bits. */
export const TYPE_LEN_TIME_EXTEND = 30;
/** type_len of an absolute time. */
export const TYPE_LEN_TIME_STAMP = 31;

/** Bytes of a record's header. */
export const RECORD_HEADER_SIZE = 4;
/** Bytes of a time extend or a time stamp. */
export const TIME_EXTEND_SIZE = 8;
/** What a delta must stay under to need no time extend, and the weight of `array[0]` in those that do. */
export const TIME_DELTA_LIMIT: number = 2 ** 27;
/** The longest entry that does without `array[0]`, in bytes. */
export const SMALL_ENTRY_MAX: number = TYPE_LEN_DATA_MAX * 4;
/** The longest entry, in bytes: a record that fills a sub-buffer alone. */
export const ENTRY_MAX: number = SUB_BUFFER_DATA_SIZE - 2 * RECORD_HEADER_SIZE;

const TYPE_LEN_BITS = 5;
const TYPE_LEN_MASK = 31;
const SHORTEST_AMBIGUOUS_RECORD = 12;

/**
 * The bytes a record takes in a sub-buffer, without a time extend before it.
 *
 * @param entryLength bytes of the entry, the common fields included; up to ENTRY_MAX
 */
export function recordLength(entryLength: number): number {
  const arrayLength = entryLength > SMALL_ENTRY_MAX ? RECORD_HEADER_SIZE : 0;
  const length = (Math.max(entryLength, 1) + arrayLength + RECORD_HEADER_SIZE + 3) & ~3;
  return length === SHORTEST_AMBIGUOUS_RECORD ? length + 4 : length;
}

/**
 * Walks the records of a sub-buffer. It holds a view of somebody's bytes, not a copy; it may be asked again
 * after more records were committed. It believes nothing: records that leave the sub-buffer end the walk.
 */
export class RecordCursor {
  #view: DataView;
  /** Where the record after the present one starts, in bytes from the start of the sub-buffer. */
  position: number = SUB_BUFFER_HEADER_SIZE;
  /** The present record's time, in nanoseconds after the sub-buffer's timestamp. */
  elapsedNs = 0;
  /** Where the present entry starts, in bytes from the start of the sub-buffer. */
  entryStart: number = SUB_BUFFER_HEADER_SIZE;
  /** Bytes of the present entry, padding to 4 included. */
  entryLength = 0;

  /** @param view the sub-buffer, header first */
  constructor(view: DataView) {
    this.#view = view;
  }

  /**
   * Starts over in another sub-buffer.
   *
   * @param view the sub-buffer, header first
   */
  reset(view: DataView): void {
    this.#view = view;
    this.position = SUB_BUFFER_HEADER_SIZE;
    this.elapsedNs = 0;
    this.entryLength = 0;
  }

  /**
   * Makes the following entry the present one.
   *
   * @param end where the committed records end, in bytes from the start of the sub-buffer
   * @returns whether there was one
   */
  advance(end: number): boolean {
    const view = this.#view;
    let position = this.position;
    while (position + RECORD_HEADER_SIZE <= end) {
      const header = view.getUint32(position, true);
      const typeLength = header & TYPE_LEN_MASK;
      const delta = header >>> TYPE_LEN_BITS;
      if (typeLength !== 0 && typeLength <= TYPE_LEN_DATA_MAX) {
        return this.#enter(position + RECORD_HEADER_SIZE, typeLength * 4, delta, end);
      }
      if (position + 2 * RECORD_HEADER_SIZE > end) break;
      const array0 = view.getUint32(position + RECORD_HEADER_SIZE, true);
      if (typeLength === 0) {
        const start = position + 2 * RECORD_HEADER_SIZE;
        return this.#enter(start, ((array0 + 3) & ~3) - RECORD_HEADER_SIZE, delta, end);
      }
      if (typeLength === TYPE_LEN_PADDING) {
        // The time of a record that was taken back counts for nobody.
        if (delta === 0) break;
        position += RECORD_HEADER_SIZE + Math.max(array0, RECORD_HEADER_SIZE);
        if (position > end || position % 4 !== 0) break;
      } else {
        if (typeLength === TYPE_LEN_TIME_EXTEND) this.elapsedNs += array0 * TIME_DELTA_LIMIT + delta;
        else this.elapsedNs = this.#elapsedAt(array0, delta);
        position += TIME_EXTEND_SIZE;
      }
      this.position = position;
    }
    this.position = Math.max(position, this.position);
    return false;
  }

  #enter(start: number, length: number, delta: number, end: number): boolean {
    if (length <= 0 || start + length > end) return false;
    this.elapsedNs += delta;
    this.entryStart = start;
    this.entryLength = length;
    this.position = start + length;
    return true;
  }

  #elapsedAt(upper: number, lower: number): number {
    const absolute = BigInt(upper) * BigInt(TIME_DELTA_LIMIT) + BigInt(lower);
    // An absolute time has 59 bits; the sub-buffer's timestamp tells those above.
    const timestamp = this.#view.getBigUint64(0, true);
    return Number(BigInt.asIntN(59, absolute - timestamp));
  }
}

/** One entry of a sub-buffer. */
export interface SubBufferRecord {
  /** Nanoseconds of the buffer's clock. */
  readonly timestamp: bigint;
  /** The entry, common fields first, with its padding to 4 bytes: a view of the sub-buffer. */
  readonly entry: Uint8Array;
}

/**
 * The entries of a raw sub-buffer, such as a read of trace_pipe_raw returns. Records that make no sense end
 * the sequence; nothing is thrown.
 *
 * @param subBuffer the bytes of one sub-buffer, header first; at least the header
 */
export function* decodeSubBuffer(subBuffer: Uint8Array): Generator<SubBufferRecord, void> {
  const { timestamp, dataLength } = readSubBufferHeader(subBuffer);
  const cursor = new RecordCursor(new DataView(subBuffer.buffer, subBuffer.byteOffset, subBuffer.length));
  while (cursor.advance(SUB_BUFFER_HEADER_SIZE + dataLength)) {
    yield {
      timestamp: BigInt.asUintN(64, timestamp + BigInt(cursor.elapsedNs)),
      entry: subBuffer.subarray(cursor.entryStart, cursor.entryStart + cursor.entryLength),
    };
  }
}
