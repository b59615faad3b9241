/**
 * `LaneCopy`: brings the wanted events of one lane into an output of pages, in order, each once, and marks where some
 * are missing.
 *
 * A page of which everything is wanted goes out as it is. Of others the wanted records are put together in a builder,
 * whose page is open: it is written at the end of each turn, and again when it has grown. The lane's own unfinished
 * page is treated so too, and therefore the output has everything up to now after each turn.
 */
import { readSubBufferHeader, sealSubBuffer, SUB_BUFFER_SIZE } from '@usertrace/abi';
import {
  type LanePage,
  type LaneReader,
  lengthWithoutLast,
  PageBuilder,
  type PageScan,
  type RecordRules,
  renameRecords,
  scanPage,
  takeWanted,
} from '@usertrace/ring';

/** How far in the future a time may be: clocks of two CPUs, and the reader's look at it before the copy. */
const CLOCK_SLACK_NS = 1_000_000_000n;

/** Where pages go. */
export interface PageSink {
  /** Appends sub-buffers, one behind the other. The bytes are valid during the call only. */
  append(pages: Uint8Array): void;
  /** Puts another sub-buffer in the place of the last one. */
  rewriteLast(page: Uint8Array): void;
}

/** What a copy is made with. */
export interface LaneCopyParts {
  readonly reader: LaneReader;
  /** Which records are wanted; it grows when the provider declares events. */
  readonly rules: RecordRules;
  /** CLOCK_MONOTONIC nanoseconds: what is older is left out. */
  readonly from: bigint;
  /** CLOCK_MONOTONIC nanoseconds: no page of the lane is older. */
  readonly createdAt: bigint;
  readonly sink: PageSink;
  /** Called when a record's id is unknown: the provider may have declared events that `rules` do not have yet. */
  readonly refresh: () => void;
}

/** The page that was delivered incomplete, and how much of it is in the output. */
interface PartialPage {
  readonly number: number;
  readonly timestamp: bigint;
  /** Whether it is the last page of the output as it is; else its records are in the builder. */
  readonly isDirect: boolean;
  /** What was marked as lost in it; 0 unless it is direct. */
  readonly lostBefore: number;
  /** Wanted events of it in the output. */
  readonly wanted: number;
  /** All events of it that were seen. */
  readonly events: number;
}

export class LaneCopy {
  readonly #parts: LaneCopyParts;
  readonly #builder = new PageBuilder();
  /** Whether the builder has events that the output has not. */
  #isBuilderAhead = false;
  /** Whether the last page of the output may be written again. */
  #isLastOpen = false;
  #partial: PartialPage | undefined;
  #pendingLost = 0;
  #lastTime: bigint;
  /** Pages that go to the output as they are and lie one behind the other. */
  #run: Uint8Array | undefined;

  /** Events in the output. */
  events = 0;
  /** Events of the lane that are not, although the output begins before them and they may have been wanted. */
  lost = 0;
  /** Those of them that were lost before the first page that was there. */
  lostAtFirst = 0;
  /** Pages that made no sense from some byte on. */
  damagedPages = 0;
  #hasPage = false;

  constructor(parts: LaneCopyParts) {
    this.#parts = parts;
    this.#lastTime = parts.createdAt;
  }

  /**
   * Copies what is there now.
   *
   * @param batchesMax how many batches of pages at most, so that one lane does not keep the others waiting
   * @param onBatch called after each batch: in discard mode the program waits for what was read
   * @returns how many pages came; a full share means that there is more
   * @throws {ErrnoError} when the lane makes no sense; what was copied before is in the output
   */
  turn(batchesMax: number, onBatch?: () => void): { readonly pages: number; readonly isBehind: boolean } {
    let count = 0;
    let isBehind = false;
    try {
      for (let batch = 0; batch < batchesMax; batch++) {
        const pages = this.#parts.reader.next();
        for (const page of pages) this.#take(page);
        count += pages.length;
        onBatch?.();
        this.#flushRun();
        isBehind = pages.at(-1)?.isComplete === true;
        if (!isBehind) break;
      }
    } finally {
      this.#flushRun();
      this.#emitBuilder(true);
    }
    return { pages: count, isBehind };
  }

  /** Counts what was lost after the last page: nothing more will be copied. */
  finish(): void {
    this.lost += this.#parts.reader.tailLost();
  }

  #take(page: LanePage): void {
    const known = this.#partial?.number === page.number ? this.#partial : undefined;
    // The rest of another incomplete page will never come: what there is of it stays.
    if (this.#partial?.isDirect === true && known === undefined) this.#isLastOpen = false;
    if (known === undefined) this.#lose(page.lostBefore);
    if (!this.#hasPage) this.lostAtFirst = page.lostBefore;
    this.#hasPage = true;
    const { timestamp } = readSubBufferHeader(page.bytes);
    const scan = this.#scan(page, timestamp, known);
    const isAllWanted = scan.wanted === scan.events && timestamp >= this.#parts.from;
    const isDirect = isAllWanted && scan.events > 0 && (known === undefined || known.isDirect);
    let wanted = known?.wanted ?? 0;
    let lostBefore = 0;
    if (isDirect) {
      this.events += scan.wanted - wanted;
      wanted = scan.wanted;
      lostBefore = this.#takeDirect(page, scan, timestamp, known);
    } else {
      if (known?.isDirect === true) this.#isLastOpen = false;
      wanted += this.#takeRecords(page, scan, timestamp, wanted);
    }
    if (scan.events > 0) this.#lastTime = timestamp + BigInt(scan.elapsedNs);
    const events = Math.max(scan.events, known?.events ?? 0);
    if (page.isComplete) {
      this.#lose(Math.max(0, (page.eventCount ?? 0) - events));
      this.#partial = undefined;
    } else {
      this.#parts.reader.countPartial(events);
      this.#partial = { number: page.number, timestamp, isDirect, lostBefore, wanted, events };
    }
  }

  /** Looks over a page; one that makes no sense counts as far as it does. */
  #scan(page: LanePage, timestamp: bigint, known: PartialPage | undefined): PageScan {
    const { rules, refresh } = this.#parts;
    const elapsedMax = Number(process.hrtime.bigint() + CLOCK_SLACK_NS - timestamp);
    const isTimely = known === undefined ? timestamp >= this.#lastTime : timestamp === known.timestamp;
    const look = (length: number): PageScan => scanPage(page.bytes, length, rules, elapsedMax);
    let scan = look(isTimely ? page.dataLength : 0);
    if (isTimely && !scan.isWhole) {
      refresh();
      scan = look(page.dataLength);
    }
    if (isTimely && scan.isWhole && scan.events === (page.eventCount ?? scan.events)) return scan;
    this.damagedPages += 1;
    // When all records look right and their count is wrong, one of them is somebody's payload, and nobody knows which.
    const isDoubtful = scan.isWhole || scan.events > (page.eventCount ?? scan.events);
    return isDoubtful ? look(0) : look(lengthWithoutLast(page.bytes, scan.dataLength));
  }

  #takeDirect(page: LanePage, scan: PageScan, timestamp: bigint, known: PartialPage | undefined): number {
    if (known === undefined) this.#closeBuilder();
    if (scan.renamed > 0) renameRecords(page.bytes, scan.dataLength, this.#parts.rules);
    const lost = known?.lostBefore ?? this.#pendingLost;
    this.#pendingLost = 0;
    sealSubBuffer(page.bytes, timestamp, scan.dataLength, lost);
    if (this.#isLastOpen || !page.isComplete) this.#emit(page.bytes, !page.isComplete);
    else this.#extendRun(page.bytes);
    return lost;
  }

  /** Puts the wanted records into the builder, except the first ones, which are in the output already. */
  #takeRecords(page: LanePage, scan: PageScan, timestamp: bigint, already: number): number {
    const builder = this.#builder;
    const { rules, from } = this.#parts;
    const fromElapsed = timestamp < from ? Number(from - timestamp) : 0;
    let sinceOpened = builder.eventCount > 0 ? Number(timestamp - builder.timestamp) : 0;
    let seen = 0;
    let taken = 0;
    takeWanted(page.bytes, scan.dataLength, rules, fromElapsed, (elapsedNs, start, length) => {
      seen += 1;
      // Times that go back were changed since the page was read before.
      if (seen <= already || sinceOpened + elapsedNs < builder.elapsedNs) return;
      const isBroken = this.#pendingLost > 0 || builder.eventCount === 0;
      if (isBroken || !builder.append(sinceOpened + elapsedNs, page.bytes, start, length)) {
        this.#closeBuilder();
        // At the time of its first record: trace-cmd tells of losses only where no time extend comes before that.
        builder.open(timestamp + BigInt(elapsedNs), this.#pendingLost);
        this.#pendingLost = 0;
        sinceOpened = -elapsedNs;
        builder.append(0, page.bytes, start, length);
      }
      this.#isBuilderAhead = true;
      taken += 1;
    });
    this.events += taken;
    return taken;
  }

  #lose(count: number): void {
    this.lost += count;
    this.#pendingLost += count;
  }

  /** Brings the builder's page to the output for the last time, and empties the builder. */
  #closeBuilder(): void {
    if (this.#builder.eventCount === 0) return;
    this.#emitBuilder(false);
    this.#isLastOpen = false;
    this.#builder.open(0n, 0);
  }

  #emitBuilder(staysOpen: boolean): void {
    if (!this.#isBuilderAhead) return;
    this.#isBuilderAhead = false;
    this.#emit(this.#builder.sealed(), staysOpen);
  }

  #emit(page: Uint8Array, staysOpen: boolean): void {
    this.#flushRun();
    if (this.#isLastOpen) this.#parts.sink.rewriteLast(page);
    else this.#parts.sink.append(page);
    this.#isLastOpen = staysOpen;
  }

  #extendRun(page: Uint8Array): void {
    const run = this.#run;
    if (run !== undefined && run.buffer === page.buffer && run.byteOffset + run.length === page.byteOffset) {
      this.#run = new Uint8Array(run.buffer, run.byteOffset, run.length + SUB_BUFFER_SIZE);
      return;
    }
    this.#flushRun();
    this.#run = page;
  }

  #flushRun(): void {
    const run = this.#run;
    this.#run = undefined;
    if (run !== undefined) this.#parts.sink.append(run);
  }
}
