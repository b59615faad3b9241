/**
 * `LaneTable`: the numbers of a provider's lane besides its pages: what stands in its first page, and the rows of its
 * page table, copied and checked. It remembers how far the writer was, for that never goes back.
 */
import { LANE, PAGE_ROW, PAGE_ROW_SIZE, PAGE_TABLE_OFFSET } from '@usertrace/abi';
import { ErrnoError } from '@usertrace/base';

/** Bytes of the lane's first page that say something. */
const LANE_STATE_SIZE = 24;

/**
 * Copies bytes of a lane.
 *
 * @param into where they go; as many as it has room for
 * @param offset from the lane's start
 * @returns how many there were: fewer when the file ends before
 */
export type ReadLane = (into: Uint8Array, offset: number) => number;

/** What stands in the lane's first page. */
export interface LaneState {
  readonly begun: number;
  readonly claimed: number;
  readonly discarded: number;
}

/** A row of the page table. */
export interface PageRow {
  readonly events: number;
  readonly discarded: number;
}

export class LaneTable {
  readonly #read: ReadLane;
  readonly #pageCount: number;
  readonly #state = new Float64Array(LANE_STATE_SIZE / 8);
  readonly #stateBytes = new Uint8Array(this.#state.buffer);
  readonly #rows: Float64Array;
  readonly #rowBytes: Uint8Array;
  #begun = -1;

  /**
   * @param read copies bytes of the lane
   * @param pageCount pages of the lane
   * @param rowsMax how many rows are copied at once at most
   */
  constructor(read: ReadLane, pageCount: number, rowsMax: number) {
    this.#read = read;
    this.#pageCount = pageCount;
    this.#rows = new Float64Array((rowsMax * PAGE_ROW_SIZE) / 8);
    this.#rowBytes = new Uint8Array(this.#rows.buffer);
  }

  /**
   * What the lane's first page says now.
   *
   * @throws {ErrnoError} EPROTO when its numbers cannot be
   */
  state(): LaneState {
    this.#state.fill(-1);
    if (this.#read(this.#stateBytes, 0) < LANE_STATE_SIZE) throw damaged('its first page is cut off');
    const begun = this.#state[LANE.begun / 8] as number;
    const discarded = this.#state[LANE.discarded / 8] as number;
    // The bytes are copied in some order; `claimed` is never behind `begun`.
    const claimed = Math.max(this.#state[LANE.claimed / 8] as number, begun);
    if (!isPage(begun) || !isPage(claimed) || !isCount(discarded)) {
      throw damaged(`begun is ${begun}, claimed ${claimed}, discarded ${discarded}`);
    }
    if (begun < this.#begun) throw damaged(`its pages went back from ${this.#begun} to ${begun}`);
    this.#begun = begun;
    return { begun, claimed, discarded };
  }

  /**
   * Copies the rows of pages in order; they may go over the table's end.
   *
   * @param first the first page
   * @param count how many, up to what the table was made for
   * @throws {ErrnoError} EPROTO when the file ends before
   */
  readRows(first: number, count: number): void {
    const slot = first % this.#pageCount;
    const upToEnd = Math.min(count, this.#pageCount - slot);
    this.#readRowRun(0, slot, upToEnd);
    if (upToEnd < count) this.#readRowRun(upToEnd, 0, count - upToEnd);
  }

  #readRowRun(index: number, slot: number, count: number): void {
    const room = this.#rowBytes.subarray(index * PAGE_ROW_SIZE, (index + count) * PAGE_ROW_SIZE);
    if (this.#read(room, PAGE_TABLE_OFFSET + slot * PAGE_ROW_SIZE) < room.length) {
      throw damaged('its page table is cut off');
    }
  }

  /**
   * A row that was copied.
   *
   * @param index its place among those copied
   * @param number the page's number, for the error
   * @throws {ErrnoError} EPROTO when its counts cannot be
   */
  rowAt(index: number, number: number): PageRow {
    const start = (index * PAGE_ROW_SIZE) / 8;
    const events = this.#rows[start + PAGE_ROW.eventsBefore / 8] as number;
    const discarded = this.#rows[start + PAGE_ROW.discardedBefore / 8] as number;
    if (!isCount(events) || !isCount(discarded)) {
      throw damaged(`page ${number} has ${events} events and ${discarded} discarded ones before it`);
    }
    return { events, discarded };
  }
}

/** Whether it is a page's number, or -1 before the first. */
function isPage(value: number): boolean {
  return value === -1 || isCount(value);
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

/** The error for what no writer leaves. */
export function damaged(what: string): ErrnoError {
  return new ErrnoError('EPROTO', `Cannot read the lane: ${what}, which no writer leaves`);
}
