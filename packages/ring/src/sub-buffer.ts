/**
 * A sub-buffer in memory: the bytes that readers get, and what its CPU's buffer needs to know about them. It is
 * always in exactly one place: in the ring, with the reader, or spare; CpuBuffer moves it. The bytes hold
 * records in the kernel's layout at all times; the header is only written when a reader takes the bytes away.
 */
import {
  SMALL_ENTRY_MAX,
  SUB_BUFFER_DATA_SIZE,
  SUB_BUFFER_HEADER_SIZE,
  SUB_BUFFER_SIZE,
  TIME_DELTA_LIMIT,
  TYPE_LEN_TIME_EXTEND,
} from '@usertrace/abi';

/** The `firstOrdinal` of a sub-buffer that holds nothing. */
export const NO_ORDINAL = -1;

/** The shortest record that may follow another. */
const SHORTEST_RECORD = 8;
/** Up to here a loop copies faster than the call of TypedArray.set. */
const SHORT_COPY = 8;

export class SubBuffer {
  readonly bytes: Uint8Array = new Uint8Array(SUB_BUFFER_SIZE);
  readonly view: DataView = new DataView(this.bytes.buffer);
  readonly words: Uint32Array = new Uint32Array(this.bytes.buffer);
  /** How many events its CPU had recorded before its first; NO_ORDINAL while it is spare. */
  firstOrdinal: number = NO_ORDINAL;
  /** The time from which its first record's delta counts, in nanoseconds since the epoch. */
  startTime = 0;
  /** Bytes of records. */
  dataLength = 0;
  /** Bytes that no record can have any more: the records, and when it is closed the padding after them. */
  usedLength = 0;
  /** Events in it. */
  entryCount = 0;
  /** The one that follows in the ring; undefined for the newest and outside the ring. */
  newer: SubBuffer | undefined = undefined;

  /** Makes it an empty sub-buffer whose first event will be number `ordinal` of its CPU. */
  open(ordinal: number, startTime: number): void {
    this.firstOrdinal = ordinal;
    this.startTime = startTime;
    this.dataLength = 0;
    this.usedLength = 0;
    this.entryCount = 0;
    this.newer = undefined;
  }

  /**
   * Appends a record, with a time extend before it when the delta needs one; there must be room.
   *
   * @param delta nanoseconds since the record before
   * @param length the record's length as recordLength() says, without the time extend
   * @param commonWord the first four bytes of the entry: type, flags, preempt count
   * @param pid the entry's pid
   * @param payload the entry's bytes after the common fields
   */
  append(delta: number, length: number, commonWord: number, pid: number, payload: Uint8Array): void {
    // Views of the same bytes; whole words are stored in the machine's order, which is little-endian.
    const { words, bytes } = this;
    let word = (SUB_BUFFER_HEADER_SIZE + this.dataLength) >> 2;
    let ownDelta = delta;
    if (delta >= TIME_DELTA_LIMIT) {
      words[word] = ((delta % TIME_DELTA_LIMIT) << 5) | TYPE_LEN_TIME_EXTEND;
      words[word + 1] = Math.floor(delta / TIME_DELTA_LIMIT);
      word += 2;
      ownDelta = 0;
    }
    const end = word + (length >> 2);
    if (length <= SMALL_ENTRY_MAX + 4) {
      words[word] = (ownDelta << 5) | ((length >> 2) - 1);
      word += 1;
    } else {
      words[word] = ownDelta << 5;
      words[word + 1] = length - 4;
      word += 2;
    }
    // What the payload leaves of its last word is zero, not what the word held before.
    words[end - 1] = 0;
    words[word] = commonWord;
    words[word + 1] = pid;
    const start = (word + 2) << 2;
    if (payload.length <= SHORT_COPY) {
      for (let index = 0; index < payload.length; index++) bytes[start + index] = payload[index] as number;
    } else {
      bytes.set(payload, start);
    }
    this.dataLength = (end << 2) - SUB_BUFFER_HEADER_SIZE;
    this.usedLength = this.dataLength;
    this.entryCount += 1;
  }

  /** Ends it: nothing is appended any more. The kernel pads the rest, unless not even a record header fits. */
  close(): void {
    if (this.dataLength <= SUB_BUFFER_DATA_SIZE - SHORTEST_RECORD) this.usedLength = SUB_BUFFER_DATA_SIZE;
  }
}
