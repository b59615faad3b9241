/**
 * `SimulatedLane`: a lane in memory with its real writer, whose events carry their number, and a way to read it during
 * which the writer goes on: the bytes come in pieces, and between two pieces somebody's callback may write.
 */
import { laneSize } from '@usertrace/abi';
import { DISCARDED, LANE_COMMIT_WORD, LaneWriter } from './lane-writer.ts';

/** common_type of the events. */
export const SIMULATED_ID = 1024;
/** common_pid of the events. */
export const SIMULATED_TID = 77;
/** Bytes of the common fields and the event's number. */
const ENTRY_SIZE = 12;

export class SimulatedLane {
  readonly pageCount: number;
  readonly writer: LaneWriter;
  /** Called between pieces of a read. */
  onPiece: () => void = () => undefined;
  /** In how many pieces a read comes. */
  pieces = 1;
  /** The first page that must not be overwritten; Infinity for overwrite mode. */
  keepFrom = Number.POSITIVE_INFINITY;
  /** The time of the following event. */
  now = 1_000_000_000_000n;
  /** Events that were tried: the number of the following one. */
  tried = 0;
  readonly bytes: Uint8Array;

  constructor(pageCount: number) {
    this.pageCount = pageCount;
    this.bytes = new Uint8Array(laneSize(pageCount));
    const memory = this.bytes.buffer as ArrayBuffer;
    this.writer = new LaneWriter(memory, 0, pageCount, {
      mayOverwrite: (page) => page < this.keepFrom,
      timePassed: () => undefined,
    });
  }

  /**
   * Writes one event, as an encoder does.
   *
   * @param extraWords words of payload besides the number
   * @param id its common_type
   */
  write(extraWords = 0, id: number = SIMULATED_ID): void {
    const { writer } = this;
    const number = this.tried++;
    const low = Number(BigInt.asIntN(32, this.now));
    const high = Number(this.now >> 32n);
    const entryWords = ENTRY_SIZE / 4 + extraWords;
    const isLong = entryWords > 28;
    const recordWords = 1 + (isLong ? 1 : 0) + entryWords;
    let delta = (high - writer.high) * 2 ** 32 + ((low >>> 0) - (writer.low >>> 0));
    let { at } = writer;
    if (delta < 0 || delta >= 2 ** 27 || at + recordWords > writer.limit) {
      at = writer.enter(recordWords, low, high);
      if (at === DISCARDED) return;
      delta = 0;
    }
    const { words } = writer;
    words[at] = (delta << 5) | (isLong ? 0 : entryWords);
    let entry = at + 1;
    if (isLong) words[entry++] = 4 + entryWords * 4;
    words[entry] = id;
    words[entry + 1] = SIMULATED_TID;
    words[entry + 2] = number;
    for (let i = 0; i < extraWords; i++) words[entry + 3 + i] = number;
    writer.at = at + recordWords;
    writer.low = low;
    writer.high = high;
    writer.eventsInPage += 1;
    words[writer.page + LANE_COMMIT_WORD] = (writer.at - writer.page) * 4 - 16;
  }

  /** Copies as pread(2) does, in `pieces`. */
  readonly read = (into: Uint8Array, offset: number): number => {
    const length = Math.max(0, Math.min(into.length, this.bytes.length - offset));
    for (let piece = 0; piece < this.pieces; piece++) {
      const from = wordsOf((length * piece) / this.pieces);
      const to = piece === this.pieces - 1 ? length : wordsOf((length * (piece + 1)) / this.pieces);
      into.set(this.bytes.subarray(offset + from, offset + to), from);
      this.onPiece();
    }
    return length;
  };
}

/** A kernel copies aligned words of 8 bytes at once. */
function wordsOf(length: number): number {
  return Math.floor(length / 8) * 8;
}
