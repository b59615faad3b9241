/**
 * The sub-buffer: the unit in which ring buffers are filled, overwritten and handed to readers of
 * trace_pipe_raw, laid out as `events/header_page` says. Numbers are little-endian (x86-64, arm64).
 *
 *     byte 0        8                16                                                4096
 *          +--------+----------------+---------------------------------------------------+
 *          | u64    | u64 commit     | records, one after another            | nothing   |
 *          | time   | 31 30 29..0    | (record.ts)                           | yet: zero |
 *          +--------+--|--|--|-------+---------------------------------------------------+
 *             |        |  |  +-- how many bytes of records follow the header
 *             |        |  +----- the number of lost events is stored after the records, as a u64
 *             |        +-------- events were lost between the previous sub-buffer and this one
 *             +----------------- nanoseconds of the clock; the first record's delta counts from here
 *
 * Source: Documentation/trace/ring-buffer-map.rst, the header_page file, and captures of a real kernel.
 */
import { assert } from '@usertrace/base';

/** Bytes of a sub-buffer, its header included. */
export const SUB_BUFFER_SIZE = 4096;
/** Bytes of the header: timestamp and commit. */
export const SUB_BUFFER_HEADER_SIZE = 16;
/** Bytes left for records. */
export const SUB_BUFFER_DATA_SIZE: number = SUB_BUFFER_SIZE - SUB_BUFFER_HEADER_SIZE;

/** Commit flag: events were lost before this sub-buffer (the kernel's RB_MISSED_EVENTS). */
export const MISSED_EVENTS: number = 2 ** 31;
/** Commit flag: the number of lost events follows the records (the kernel's RB_MISSED_STORED). */
export const MISSED_STORED: number = 2 ** 30;

const COMMIT_OFFSET = 8;
const LENGTH_BITS = MISSED_STORED - 1;
const MISSED_COUNT_SIZE = 8;

/** What the header of a sub-buffer says. */
export interface SubBufferHeader {
  /** Nanoseconds of the buffer's clock, from which the first record's delta counts. */
  readonly timestamp: bigint;
  /** Bytes of records after the header, never more than fit. */
  readonly dataLength: number;
  /** Events lost before this sub-buffer; `'unknown'` when there were some but their number did not fit. */
  readonly lost: number | 'unknown';
}

/**
 * Reads a sub-buffer's header. Whatever the bytes are, the answer stays inside the sub-buffer.
 *
 * @param subBuffer the bytes of one sub-buffer, header first; at least the header
 */
export function readSubBufferHeader(subBuffer: Uint8Array): SubBufferHeader {
  assert(subBuffer.length >= SUB_BUFFER_HEADER_SIZE, 'a sub-buffer has a header');
  const view = new DataView(subBuffer.buffer, subBuffer.byteOffset, subBuffer.length);
  const commit = view.getUint32(COMMIT_OFFSET, true);
  const dataLength = Math.min(commit & LENGTH_BITS, subBuffer.length - SUB_BUFFER_HEADER_SIZE);
  return { timestamp: view.getBigUint64(0, true), dataLength, lost: lostCount(view, commit, dataLength) };
}

/**
 * Writes a sub-buffer's header for a reader, as the kernel does when it hands a page out: the number of lost
 * events goes behind the records when it fits there, and the rest of the sub-buffer is zero.
 *
 * @param subBuffer SUB_BUFFER_SIZE bytes; records are already behind the header
 * @param timestamp nanoseconds of the buffer's clock
 * @param dataLength bytes of records
 * @param lost how many events were lost before the first of these records
 */
export function sealSubBuffer(
  subBuffer: Uint8Array,
  timestamp: bigint,
  dataLength: number,
  lost: number,
): void {
  assert(subBuffer.length === SUB_BUFFER_SIZE, 'a sub-buffer has its size');
  assert(dataLength <= SUB_BUFFER_DATA_SIZE, 'records fit into the sub-buffer');
  const view = new DataView(subBuffer.buffer, subBuffer.byteOffset, SUB_BUFFER_SIZE);
  const recordsEnd = SUB_BUFFER_HEADER_SIZE + dataLength;
  subBuffer.fill(0, recordsEnd);
  let commit = dataLength;
  if (lost > 0) {
    // For the kernel the flag is an int's sign bit, so the word's upper half is all ones.
    commit -= MISSED_EVENTS;
    if (SUB_BUFFER_SIZE - recordsEnd >= MISSED_COUNT_SIZE) {
      commit += MISSED_STORED;
      view.setBigUint64(recordsEnd, BigInt(lost), true);
    }
  }
  view.setBigUint64(0, timestamp, true);
  view.setBigInt64(COMMIT_OFFSET, BigInt(commit), true);
}

function lostCount(view: DataView, commit: number, dataLength: number): number | 'unknown' {
  if (commit < MISSED_EVENTS) return 0;
  const countOffset = SUB_BUFFER_HEADER_SIZE + dataLength;
  const isStored = (commit & MISSED_STORED) !== 0 && countOffset + MISSED_COUNT_SIZE <= view.byteLength;
  return isStored ? Number(view.getBigUint64(countOffset, true)) : 'unknown';
}
