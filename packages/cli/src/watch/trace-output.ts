/**
 * Events into a lane of a recording. Records go into a page at once, and pages into the file at each turn: no callback of an engine
 * waits for a disk. What a disk does not take in time is lost, counted, and marked where it is missing.
 */
import type { EventLane } from '@usertrace/recording';
import { PageBuilder } from '@usertrace/ring';
import { RecordEncoder } from './trace-events.ts';
import type { EventOutput, WatchedTask, WatchEvent } from './watch-event.ts';

/** Pages that wait for a turn at most: 64 MiB. */
const WAITING_PAGES_MAX = 16_384;

export class TraceOutput implements EventOutput {
  readonly #lane: EventLane;
  readonly #encoder = new RecordEncoder();
  readonly #builder = new PageBuilder();
  readonly #namedTasks = new WeakMap<WatchedTask, string>();
  #waiting: Uint8Array[] = [];
  /** Whether the last page in the file is the builder's, to be written again when it has grown. */
  #isLastOpen = false;
  #isAhead = false;
  #pendingLost = 0;
  /** Records in the file, or on their way. */
  events = 0;
  lost = 0;

  constructor(lane: EventLane) {
    this.#lane = lane;
  }

  take(event: WatchEvent): void {
    const { task, timeNs } = event;
    if (this.#namedTasks.get(task) !== task.comm) {
      this.#namedTasks.set(task, task.comm);
      this.#lane.setComm(task.tid, task.comm);
    }
    const length = this.#encoder.encode(event);
    if (this.#append(timeNs, length)) {
      this.events += 1;
      this.#isAhead = true;
    } else {
      this.lost += 1;
      this.#pendingLost += 1;
    }
  }

  /**
   * Brings all records into the file.
   *
   * @throws {Error} Node's, when the disk is full
   */
  turn(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const page of waiting) {
      this.#emit(page);
      this.#isLastOpen = false;
    }
    if (!this.#isAhead) return;
    this.#isAhead = false;
    this.#emit(this.#builder.sealed());
    this.#isLastOpen = true;
  }

  /** Brings the last records into the file, and ends the lane. */
  end(): void {
    this.turn();
    this.#lane.end(this.events, this.lost);
  }

  #append(timeNs: bigint, length: number): boolean {
    const builder = this.#builder;
    const { bytes } = this.#encoder;
    if (builder.eventCount > 0) {
      const elapsedNs = Number(timeNs - builder.timestamp);
      if (builder.append(Math.max(elapsedNs, builder.elapsedNs), bytes, 0, length)) return true;
      if (this.#waiting.length >= WAITING_PAGES_MAX) return false;
      this.#waiting.push(builder.sealed().slice());
      this.#isAhead = false;
    }
    builder.open(timeNs, this.#pendingLost);
    this.#pendingLost = 0;
    return builder.append(0, bytes, 0, length);
  }

  #emit(page: Uint8Array): void {
    if (this.#isLastOpen) this.#lane.rewriteLast(page);
    else this.#lane.append(page);
  }
}
