/**
 * The writing side of a lane: the pages of shared memory that one thread of a program fills in turn, laid out as
 * abi/provider/layout.ts says. One LaneWriter a lane, one lane a thread; nothing here locks or waits, and but for append() nothing
 * allocates.
 *
 * The encoders of events work on its fields directly, which is why these are public and plain: a record goes to word `at`
 * when it ends at or before word `limit` and its delta fits 27 bits; else enter() finds it a place. All positions are
 * numbers of 32-bit words from the lane's start. An encoder stores, in this order:
 *
 *     1. the record                     words[at] = header, then the entry
 *     2. at, low, high, eventsInPage    where the writer is, for itself
 *     3. the commit of the page         words[page + LANE_COMMIT_WORD]: now the event is there for readers
 *
 * Stores of one thread become visible in their order on x86-64, and V8 keeps the order of stores to typed arrays.
 */
import {
  LANE,
  LANE_PAGE_RESERVE,
  lanePagesOffset,
  PAGE_ROW,
  PAGE_ROW_SIZE,
  PAGE_TABLE_OFFSET,
  SMALL_ENTRY_MAX,
  SUB_BUFFER_HEADER_SIZE,
  SUB_BUFFER_SIZE,
  TIME_DELTA_LIMIT,
  TIME_EXTEND_SIZE,
  TYPE_LEN_TIME_EXTEND,
} from '@usertrace/abi';

/** Where a page's commit is, in words from its start. */
export const LANE_COMMIT_WORD = 2;
/** Where a page's records start, in words from its start. */
export const LANE_RECORDS_WORD: number = SUB_BUFFER_HEADER_SIZE / 4;
/** The longest record of a lane, in words, its header and length word included: it fills a page alone. */
export const LANE_RECORD_WORDS_MAX: number =
  (SUB_BUFFER_SIZE - SUB_BUFFER_HEADER_SIZE - LANE_PAGE_RESERVE) / 4;
/** What enter() answers when the event is not to be written. */
export const DISCARDED = -1;

const PAGE_WORDS = SUB_BUFFER_SIZE / 4;
const RESERVE_WORDS = LANE_PAGE_RESERVE / 4;
const TIME_EXTEND_WORDS = TIME_EXTEND_SIZE / 4;
const ROW_DOUBLES = PAGE_ROW_SIZE / 8;
const TWO_TO_32 = 2 ** 32;

/** Whose lane it is. */
export interface LaneOwner {
  /** Asked before a page that has events is given up: whether nobody waits for it. */
  mayOverwrite(page: number): boolean;
  /** Seconds have passed since the last event, or since the last call: each 4.3 s when events come in between. */
  timePassed(): void;
}

export class LaneWriter {
  /** The lane, from its first page on. */
  readonly words: Int32Array;
  /** The same bytes. */
  readonly bytes: Buffer;
  /** Where the following record starts. */
  at = 0;
  /** Where records of this page have to end at the latest; 0 while there is no page for them. */
  limit = 0;
  /** The page that is being filled. */
  page = 0;
  /** The last record's time: lower and upper 32 bits of CLOCK_MONOTONIC nanoseconds. */
  low = 0;
  high = 0;
  /** Events that were taken into the page so far. */
  eventsInPage = 0;

  readonly #doubles: Float64Array;
  readonly #pageCount: number;
  readonly #firstPage: number;
  readonly #owner: LaneOwner;
  #begun = -1;
  #eventsBefore = 0;
  #discarded = 0;

  /**
   * @param memory holds the lane, laneSize(pageCount) bytes of zero
   * @param offset where it starts there, in bytes; a multiple of 8
   * @param pageCount pages of the lane
   * @param owner asked and told from within enter()
   */
  constructor(memory: ArrayBuffer, offset: number, pageCount: number, owner: LaneOwner) {
    const size = lanePagesOffset(pageCount) + pageCount * SUB_BUFFER_SIZE;
    this.words = new Int32Array(memory, offset, size / 4);
    this.bytes = Buffer.from(memory, offset, size);
    this.#doubles = new Float64Array(memory, offset, size / 8);
    this.#pageCount = pageCount;
    this.#firstPage = lanePagesOffset(pageCount) / 4;
    this.#owner = owner;
    this.#doubles[LANE.begun / 8] = -1;
    this.#doubles[LANE.claimed / 8] = -1;
    this.#doubles[LANE.discarded / 8] = 0;
  }

  /** Events that were not written since the lane was made. */
  get discarded(): number {
    return this.#discarded;
  }

  /** Events that were written, those that have been overwritten since included. */
  get written(): number {
    return this.#eventsBefore + this.eventsInPage;
  }

  /**
   * A place for a record that needs more than the encoder looked at: a page of its own, or a time extend before it. The
   * record's delta is 0 there.
   *
   * @param recordWords the record's length, up to LANE_RECORD_WORDS_MAX
   * @param low lower 32 bits of the record's time
   * @param high upper 32 bits of it
   * @returns the word at which the record starts; DISCARDED when the lane is full of events that somebody waits for. The
   *   event is counted as discarded then, and so are all that follow until a page is free: losses lie between pages only
   */
  enter(recordWords: number, low: number, high: number): number {
    if (high !== this.high) this.#owner.timePassed();
    const delta = this.#sinceLast(low, high);
    const end = this.at + TIME_EXTEND_WORDS + recordWords;
    // A clock that goes back (a test's fake one) stands still here until it has caught up.
    if (end <= this.limit) return delta > 0 ? this.#extend(delta, low, high) : this.at;
    if (delta > 0 || this.#begun < 0) {
      this.low = low;
      this.high = high;
    }
    return this.#turnPage() ? this.at : this.#discard();
  }

  /**
   * Appends a record of somebody who has its entry already. An encoder that puts its fields into the lane itself does the same.
   *
   * @param entry the entry, common fields first
   * @param length its bytes; what is behind them up to a multiple of 4 is stored as well
   * @param low lower 32 bits of its time
   * @param high upper 32 bits of it
   * @returns whether it was written; else it is counted as discarded
   */
  append(entry: Uint8Array, length: number, low: number, high: number): boolean {
    const padded = (length + 3) & ~3;
    const headerWords = padded > SMALL_ENTRY_MAX ? 2 : 1;
    const recordWords = headerWords + padded / 4;
    if (recordWords > LANE_RECORD_WORDS_MAX) {
      this.#discard();
      return false;
    }
    let { at } = this;
    let delta = this.#sinceLast(low, high);
    const isNear = delta >= 0 && delta < TIME_DELTA_LIMIT && high === this.high;
    if (!isNear || at + recordWords > this.limit) {
      at = this.enter(recordWords, low, high);
      if (at === DISCARDED) return false;
      delta = 0;
    }
    this.words[at] = (delta << 5) | (headerWords === 1 ? padded / 4 : 0);
    if (headerWords === 2) this.words[at + 1] = padded + 4;
    this.bytes.set(entry.subarray(0, padded), (at + headerWords) * 4);
    this.at = at + recordWords;
    if (delta > 0) this.low = low;
    this.eventsInPage += 1;
    this.words[this.page + LANE_COMMIT_WORD] = (this.at - this.page) * 4 - SUB_BUFFER_HEADER_SIZE;
    return true;
  }

  /**
   * Counts events that are not written, for whatever reason. Records that follow go to another page.
   *
   * @param count how many
   */
  discard(count = 1): void {
    this.#discarded += count - 1;
    this.#discard();
  }

  #sinceLast(low: number, high: number): number {
    return (high - this.high) * TWO_TO_32 + ((low >>> 0) - (this.low >>> 0));
  }

  #extend(delta: number, low: number, high: number): number {
    const { at } = this;
    this.words[at] = ((delta % TIME_DELTA_LIMIT) << 5) | TYPE_LEN_TIME_EXTEND;
    this.words[at + 1] = Math.floor(delta / TIME_DELTA_LIMIT);
    this.at = at + TIME_EXTEND_WORDS;
    this.low = low;
    this.high = high;
    return this.at;
  }

  /** Begins the following page at the time of `low` and `high`, in the order that layout.ts tells readers. */
  #turnPage(): boolean {
    const page = this.#begun + 1;
    if (page >= this.#pageCount && !this.#owner.mayOverwrite(page - this.#pageCount)) return false;
    const doubles = this.#doubles;
    const { words } = this;
    const slot = page % this.#pageCount;
    const row = PAGE_TABLE_OFFSET / 8 + slot * ROW_DOUBLES;
    const start = this.#firstPage + slot * PAGE_WORDS;
    doubles[LANE.claimed / 8] = page;
    this.#eventsBefore += this.eventsInPage;
    this.eventsInPage = 0;
    doubles[row + PAGE_ROW.eventsBefore / 8] = this.#eventsBefore;
    doubles[row + PAGE_ROW.discardedBefore / 8] = this.#discarded;
    words[start] = this.low;
    words[start + 1] = this.high;
    words[start + LANE_COMMIT_WORD] = 0;
    words[start + LANE_COMMIT_WORD + 1] = 0;
    doubles[LANE.begun / 8] = page;
    this.#begun = page;
    this.page = start;
    this.at = start + LANE_RECORDS_WORD;
    this.limit = start + PAGE_WORDS - RESERVE_WORDS;
    return true;
  }

  #discard(): typeof DISCARDED {
    this.limit = 0;
    this.#discarded += 1;
    this.#doubles[LANE.discarded / 8] = this.#discarded;
    return DISCARDED;
  }
}
