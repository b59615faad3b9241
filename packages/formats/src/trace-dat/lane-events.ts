/** The events of one lane, one at a time. It holds one page, and believes nothing that the page says. */

import { RecordCursor, readSubBufferHeader, SUB_BUFFER_HEADER_SIZE } from '@usertrace/abi';
import type { PageSource } from './page-source.ts';

/** After so many empty pages in a row a lane is over: a damaged size could name a hole of terabytes. */
const EMPTY_PAGES_MAX = 16_384;

/** How many events were lost; `unknown` when only that there were some. */
export type LostCount = number | 'unknown';

export class LaneEvents {
  readonly cpu: number;
  readonly #pages: PageSource;
  readonly #page: Uint8Array;
  readonly #cursor: RecordCursor;
  #end = SUB_BUFFER_HEADER_SIZE;
  #pageTime = 0n;
  #pendingLost: LostCount = 0;
  /** The present event's time, in units of the clock. */
  timestamp = 0n;
  /** Events lost before the present one. */
  lostBefore: LostCount = 0;

  /**
   * @param cpu the lane's number
   * @param pages its pages
   * @param pageSize bytes of a page
   */
  constructor(cpu: number, pages: PageSource, pageSize: number) {
    this.cpu = cpu;
    this.#pages = pages;
    this.#page = new Uint8Array(pageSize);
    this.#cursor = new RecordCursor(new DataView(this.#page.buffer));
  }

  /** The present event, common fields first: a view of the page that lasts until the lane advances. */
  get entry(): Uint8Array {
    const { entryStart, entryLength } = this.#cursor;
    return this.#page.subarray(entryStart, entryStart + entryLength);
  }

  /** Makes the following event the present one. @returns whether there was one */
  advance(): boolean {
    while (!this.#cursor.advance(this.#end)) {
      if (!this.#nextPage()) return false;
    }
    this.timestamp = BigInt.asUintN(64, this.#pageTime + BigInt(this.#cursor.elapsedNs));
    this.lostBefore = this.#pendingLost;
    this.#pendingLost = 0;
    return true;
  }

  #nextPage(): boolean {
    for (let empty = 0; empty < EMPTY_PAGES_MAX; empty++) {
      if (!this.#pages.read(this.#page)) return false;
      const { timestamp, dataLength, lost } = readSubBufferHeader(this.#page);
      this.#pendingLost = addLost(this.#pendingLost, lost);
      if (dataLength === 0) continue;
      this.#pageTime = timestamp;
      this.#end = SUB_BUFFER_HEADER_SIZE + dataLength;
      this.#cursor.reset(new DataView(this.#page.buffer));
      return true;
    }
    return false;
  }
}

/** Two losses together. */
export function addLost(a: LostCount, b: LostCount): LostCount {
  return a === 'unknown' || b === 'unknown' ? 'unknown' : a + b;
}
