/**
 * `PageBuilder`: a sub-buffer that is put together from records of other sub-buffers, of which some are left out. Every
 * record keeps its time to the nanosecond.
 *
 * It holds the bytes of one sub-buffer. Whoever owns it takes them away when a record has no room, and opens it anew.
 */
import {
  SMALL_ENTRY_MAX,
  SUB_BUFFER_DATA_SIZE,
  SUB_BUFFER_HEADER_SIZE,
  SUB_BUFFER_SIZE,
  TIME_DELTA_LIMIT,
  TIME_EXTEND_SIZE,
  TYPE_LEN_TIME_EXTEND,
  sealSubBuffer,
} from '@usertrace/abi';
import { assert } from '@usertrace/base';

/** Bytes that records may take: the number of lost events has to fit behind them. */
const DATA_MAX: number = SUB_BUFFER_DATA_SIZE - 8;
/** Longest time that a time extend holds: 59 bits; as a double it has to be exact. */
const ELAPSED_MAX: number = Number.MAX_SAFE_INTEGER;

export class PageBuilder {
  readonly #bytes = new Uint8Array(SUB_BUFFER_SIZE);
  readonly #view = new DataView(this.#bytes.buffer);
  #timestamp = 0n;
  #dataLength = 0;
  #elapsedNs = 0;
  #eventCount = 0;
  #lostBefore = 0;

  /** Events in it. */
  get eventCount(): number {
    return this.#eventCount;
  }

  /** The time of its last record, in nanoseconds after its timestamp; 0 when it has none. */
  get elapsedNs(): number {
    return this.#elapsedNs;
  }

  /** Its timestamp: times of its records count from here. */
  get timestamp(): bigint {
    return this.#timestamp;
  }

  /**
   * Empties it.
   *
   * @param timestamp nanoseconds of the clock, not after its first record
   * @param lostBefore events that were lost before its first record
   */
  open(timestamp: bigint, lostBefore: number): void {
    this.#timestamp = timestamp;
    this.#dataLength = 0;
    this.#elapsedNs = 0;
    this.#eventCount = 0;
    this.#lostBefore = lostBefore;
  }

  /**
   * Appends an entry.
   *
   * @param elapsedNs its time, in nanoseconds after this sub-buffer's timestamp; at least that of the entry before
   * @param page the sub-buffer that it comes from
   * @param start where the entry starts there
   * @param length its bytes, a multiple of 4
   * @returns whether there was room; nothing is changed when there was not
   */
  append(elapsedNs: number, page: Uint8Array, start: number, length: number): boolean {
    const delta = elapsedNs - this.#elapsedNs;
    assert(delta >= 0 && elapsedNs <= ELAPSED_MAX, 'records come in the order of their times');
    const extendLength = delta < TIME_DELTA_LIMIT ? 0 : TIME_EXTEND_SIZE;
    const headerLength = length > SMALL_ENTRY_MAX ? 8 : 4;
    if (this.#dataLength + extendLength + headerLength + length > DATA_MAX) return false;
    const view = this.#view;
    let position = SUB_BUFFER_HEADER_SIZE + this.#dataLength;
    let ownDelta = delta;
    if (extendLength > 0) {
      ownDelta = 0;
      const lower = delta % TIME_DELTA_LIMIT;
      view.setUint32(position, lower * 32 + TYPE_LEN_TIME_EXTEND, true);
      view.setUint32(position + 4, Math.floor(delta / TIME_DELTA_LIMIT), true);
      position += TIME_EXTEND_SIZE;
    }
    if (headerLength === 4) {
      view.setUint32(position, ownDelta * 32 + length / 4, true);
    } else {
      view.setUint32(position, ownDelta * 32, true);
      view.setUint32(position + 4, length + 4, true);
    }
    this.#bytes.set(page.subarray(start, start + length), position + headerLength);
    this.#dataLength = position + headerLength + length - SUB_BUFFER_HEADER_SIZE;
    this.#elapsedNs = elapsedNs;
    this.#eventCount += 1;
    return true;
  }

  /** The sub-buffer as readers take it: a view that is valid until something is appended. */
  sealed(): Uint8Array {
    sealSubBuffer(this.#bytes, this.#timestamp, this.#dataLength, this.#lostBefore);
    return this.#bytes;
  }
}
