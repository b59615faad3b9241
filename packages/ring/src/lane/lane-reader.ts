/**
 * `LaneReader`: the reading end of a provider's lane, in another process than its writer (abi/provider/layout.ts has
 * the layout, the order of the writer's stores, and which of what was copied is good).
 *
 * The reader holds a way to read the file, its place (the first page that it has not had whole), and how many events
 * were there up to that place. From these two and the counts in the page table follows how many events it missed, in
 * both modes: exactly. It writes nothing, so any number of readers read a lane.
 *
 * What it reads may have been written by a bug. A number that cannot be is an error; a page that was overwritten
 * while it was copied is thrown away. The records of a page are not looked at here: page-scan.ts does that.
 */
import {
  SUB_BUFFER_DATA_SIZE,
  SUB_BUFFER_HEADER_SIZE,
  SUB_BUFFER_SIZE,
  lanePagesOffset,
} from '@usertrace/abi';
import { damaged, type LaneState, LaneTable, type PageRow, type ReadLane } from './lane-table.ts';

/** Pages that are copied at once: 256 KiB. */
export const BATCH_PAGES = 64;
/** The most events that a page holds: records take 8 bytes at least. */
const PAGE_EVENTS_MAX: number = SUB_BUFFER_DATA_SIZE / 8;
/** How often a copy is tried anew that the writer has overwritten meanwhile, before the next call tries. */
const ATTEMPTS_MAX = 16;
const COMMIT_OFFSET = 8;

/** Where all readers of this thread copy to: a reader of its own would hold 256 KiB for each thread of a program. */
let batch: Uint8Array | undefined;

/** A page of the lane as it was copied. */
export interface LanePage {
  /** Its number: pages count from 0 as they are begun. */
  readonly number: number;
  /** The sub-buffer, a copy that is valid until the following call of `next` of any reader. */
  readonly bytes: Uint8Array;
  /** Bytes of records that were committed when it was copied. */
  readonly dataLength: number;
  /** Whether nothing will be appended to it. One that is not complete is delivered again, from its start, with more. */
  readonly isComplete: boolean;
  /** Events that were taken into it; undefined while it is not complete. */
  readonly eventCount: number | undefined;
  /** Events between what was delivered before and this page: overwritten ones and discarded ones. */
  readonly lostBefore: number;
}

/** The page that was delivered last and incomplete. */
interface PartialPage {
  readonly number: number;
  readonly dataLength: number;
  readonly eventsBefore: number;
  readonly lostBefore: number;
  /** Events in what was delivered of it. */
  events: number;
}

export class LaneReader {
  readonly #read: ReadLane;
  /** Pages of the lane. */
  readonly pageCount: number;
  readonly #pagesOffset: number;
  readonly #table: LaneTable;
  readonly #header = new Uint8Array(SUB_BUFFER_HEADER_SIZE);
  #position = 0;
  /** Events before `position`, as the writer counts them; undefined until the first page says it. */
  #eventsSeen: number | undefined = 0;
  /** Discarded events before `position`; those before the reader came count as seen. */
  #discardedSeen = 0;
  #partial: PartialPage | undefined;

  /**
   * A reader at the lane's first page, of which it has missed nothing.
   *
   * @param read copies bytes of the lane
   * @param pageCount pages of the lane, from LANE_PAGES_MIN to LANE_PAGES_MAX
   */
  constructor(read: ReadLane, pageCount: number) {
    this.#read = read;
    this.pageCount = pageCount;
    this.#table = new LaneTable(read, pageCount, BATCH_PAGES + 1);
    this.#pagesOffset = lanePagesOffset(pageCount);
  }

  /** The first page that was not delivered whole: the one that LANE_MODE.discard has to keep. */
  get position(): number {
    return this.#position;
  }

  /**
   * Goes to the page that is being filled, if there is one. Its events up to now are delivered with it: their times
   * tell them apart.
   *
   * @throws {ErrnoError} EPROTO when the lane's numbers cannot be
   */
  seekNewest(): void {
    this.#partial = undefined;
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const { begun, discarded } = this.state();
      if (begun < 0) return;
      this.#position = begun;
      this.#discardedSeen = discarded;
      this.#table.readRows(begun, 1);
      this.#eventsSeen = undefined;
      if (!this.#isOverwritten(begun)) {
        this.#eventsSeen = this.#table.rowAt(0, begun).events;
        return;
      }
    }
  }

  /** Events that were discarded after the last page that was delivered. */
  tailLost(): number {
    return Math.max(0, this.state().discarded - this.#discardedSeen);
  }

  /**
   * Says how many events the incomplete page had that was delivered last, so that what is lost of it later can be
   * counted.
   *
   * @param eventCount events in it
   */
  countPartial(eventCount: number): void {
    if (this.#partial !== undefined) this.#partial.events = eventCount;
  }

  /**
   * Copies what is there: complete pages, BATCH_PAGES at most, and when there is none, the page that is being filled.
   *
   * @returns the pages in order; empty when there is nothing new
   * @throws {ErrnoError} EPROTO when the lane's numbers cannot be
   */
  next(): LanePage[] {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const { begun, claimed } = this.state();
      const first = Math.max(this.#position, claimed - this.pageCount + 1);
      if (first > begun) return [];
      if (first === begun) return this.#copyNewest(begun);
      const pages = this.#copyComplete(first, begun);
      if (pages.length > 0) return pages;
    }
    return [];
  }

  /**
   * What the lane's first page says now.
   *
   * @throws {ErrnoError} EPROTO when its numbers cannot be
   */
  state(): LaneState {
    return this.#table.state();
  }

  #isOverwritten(number: number): boolean {
    return number <= this.state().claimed - this.pageCount;
  }

  #copyComplete(first: number, begun: number): LanePage[] {
    const slot = first % this.pageCount;
    const count = Math.min(begun - first, BATCH_PAGES, this.pageCount - slot);
    this.#table.readRows(first, count + 1);
    batch ??= new Uint8Array(BATCH_PAGES * SUB_BUFFER_SIZE);
    const room = batch.subarray(0, count * SUB_BUFFER_SIZE);
    const copied = this.#read(room, this.#pagesOffset + slot * SUB_BUFFER_SIZE);
    if (copied < room.length) throw damaged(`the file ends before page ${first + count}`);
    const good = Math.max(first, this.state().claimed - this.pageCount + 1);
    const pages: LanePage[] = [];
    for (let number = good; number < first + count; number++) {
      pages.push(this.#completePage(number, number - first, room));
    }
    return pages;
  }

  #completePage(number: number, index: number, room: Uint8Array): LanePage {
    const row = this.#table.rowAt(index, number);
    const after = this.#table.rowAt(index + 1, number + 1);
    const eventCount = after.events - row.events;
    if (eventCount < 0 || eventCount > PAGE_EVENTS_MAX)
      throw damaged(`page ${number} has ${eventCount} events`);
    const bytes = room.subarray(index * SUB_BUFFER_SIZE, (index + 1) * SUB_BUFFER_SIZE);
    const dataLength = dataLengthOf(bytes, number);
    const lostBefore = this.#lostBefore(number, row);
    this.#partial = undefined;
    this.#position = number + 1;
    this.#eventsSeen = after.events;
    return { number, bytes, dataLength, isComplete: true, eventCount, lostBefore };
  }

  /** Copies the page that is being filled: its commit first, so that the records up to there are in the copy. */
  #copyNewest(number: number): LanePage[] {
    const start = this.#pagesOffset + (number % this.pageCount) * SUB_BUFFER_SIZE;
    if (this.#read(this.#header, start) < SUB_BUFFER_HEADER_SIZE) {
      throw damaged(`the file ends before page ${number}`);
    }
    // Before dataLengthOf(), which would take a torn commit for damage.
    if (this.#isOverwritten(number)) return [];
    const dataLength = dataLengthOf(this.#header, number);
    const known = this.#partial?.number === number ? this.#partial : undefined;
    if (dataLength === (known?.dataLength ?? 0)) return [];
    this.#table.readRows(number, 1);
    batch ??= new Uint8Array(BATCH_PAGES * SUB_BUFFER_SIZE);
    const bytes = batch.subarray(0, SUB_BUFFER_SIZE);
    if (this.#read(bytes, start) < SUB_BUFFER_SIZE) throw damaged(`the file ends within page ${number}`);
    if (this.#isOverwritten(number)) return [];
    const row = this.#table.rowAt(0, number);
    const lostBefore = this.#lostBefore(number, row);
    // The place stays before this page until it is complete.
    const eventsBefore = row.events;
    this.#partial = { number, dataLength, eventsBefore, lostBefore, events: known?.events ?? 0 };
    this.#position = number;
    return [{ number, bytes, dataLength, isComplete: false, eventCount: undefined, lostBefore }];
  }

  /** Events that are missing between what was delivered and a page; the same again for a page that was incomplete. */
  #lostBefore(number: number, row: PageRow): number {
    const partial = this.#partial;
    if (partial?.number === number) return partial.lostBefore;
    // What followed in an incomplete page was overwritten before it was read.
    if (partial !== undefined) this.#eventsSeen = partial.eventsBefore + partial.events;
    const overwritten = row.events - (this.#eventsSeen ?? row.events);
    if (overwritten < 0) throw damaged(`the events before page ${number} went back to ${row.events}`);
    const discarded = this.#eventsSeen === undefined ? 0 : Math.max(0, row.discarded - this.#discardedSeen);
    this.#eventsSeen = row.events;
    this.#discardedSeen = Math.max(this.#discardedSeen, row.discarded);
    return overwritten + discarded;
  }
}

/** Bytes of records of a copied page, from its commit field. */
function dataLengthOf(bytes: Uint8Array, number: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, SUB_BUFFER_HEADER_SIZE);
  const commit = view.getUint32(COMMIT_OFFSET, true);
  if (commit > SUB_BUFFER_DATA_SIZE || commit % 4 !== 0) throw damaged(`page ${number} has ${commit} bytes`);
  return commit;
}
