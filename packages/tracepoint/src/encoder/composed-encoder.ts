/**
 * The encoder that goes through an event's plan field by field. It writes any values: text of any script, values that have to be
 * cut. The generated encoders (generated-encoder.ts) hand it what they do not do themselves; where a program may not make
 * code from strings, it writes everything. Like them it allocates nothing.
 */
import { SMALL_ENTRY_MAX } from '@usertrace/abi';
import { LANE_COMMIT_WORD, type LaneWriter } from '@usertrace/ring';
import { ENTRY_SIZE_MAX } from '../declaration.ts';
import { coerced, lengthOf } from './coercion.ts';
import { double, halves, splitLong } from './halves.ts';
import type { PlannedField, RecordPlan } from './record-plan.ts';
import { SHORT_TEXT_MAX, shortTextLength, writeShortText } from './short-text.ts';

/** What every encoder knows of its event. */
export interface EncoderIdentity {
  /** What its records carry as common_type. */
  readonly eventId: number;
  /** The thread that emits. */
  readonly tid: number;
}

/** The clock of the encoders: stores CLOCK_MONOTONIC nanoseconds into `clock64`, which `clock32` shows in two halves. */
export interface EncoderClock {
  readonly clock64: BigUint64Array;
  readonly clock32: Int32Array;
  readonly now: () => bigint;
}

const DELTA_LIMIT = 2 ** 27;
const SMALL_ENTRY_WORDS = SMALL_ENTRY_MAX / 4;

export class ComposedEncoder {
  readonly #plan: RecordPlan;
  readonly #identity: EncoderIdentity;
  readonly #clock: EncoderClock;
  /** Bytes that each value of any length has in the record being written, by field. */
  readonly #lengths: Int32Array;

  constructor(plan: RecordPlan, identity: EncoderIdentity, clock: EncoderClock) {
    this.#plan = plan;
    this.#identity = identity;
    this.#clock = clock;
    this.#lengths = new Int32Array(plan.fields.length);
  }

  /**
   * Makes the arguments of a call to values of the fields' types, in place. Code of the program may run.
   *
   * @param values as many as there are fields, at least
   */
  coerce(values: unknown[]): void {
    const { fields } = this.#plan;
    for (let index = 0; index < fields.length; index++) {
      values[index] = coerced((fields[index] as PlannedField).storage, values[index]);
    }
  }

  /**
   * Writes an event at this moment.
   *
   * @param lane where
   * @param values of the fields' types, one a field
   * @returns the word at which its entry starts; DISCARDED when the lane took none
   */
  write(lane: LaneWriter, values: readonly unknown[]): number {
    this.#clock.clock64[0] = this.#clock.now();
    return this.writeAtRead(lane, values);
  }

  /**
   * Writes an event at the time that was read from the clock last: the lane may have begun a page for it already.
   *
   * @param lane where
   * @param values of the fields' types, one a field
   * @returns the word at which its entry starts; DISCARDED when the lane took none
   */
  writeAtRead(lane: LaneWriter, values: readonly unknown[]): number {
    const entryWords = this.#measure(values);
    const recordWords = entryWords + (entryWords > SMALL_ENTRY_WORDS ? 2 : 1);
    const { clock32 } = this.#clock;
    let low = clock32[0] as number;
    const high = clock32[1] as number;
    let delta = (low - lane.low) >>> 0;
    let { at } = lane;
    if (high !== lane.high || delta >= DELTA_LIMIT || at + recordWords > lane.limit) {
      at = lane.enter(recordWords, low, high);
      if (at < 0) return at;
      delta = 0;
      ({ low } = lane);
    }
    const { words } = lane;
    const { bodyWords } = this.#plan;
    let entry = at + 1;
    if (entryWords <= SMALL_ENTRY_WORDS) words[at] = entryWords | (delta << 5);
    else {
      words[at] = delta << 5;
      words[at + 1] = entryWords * 4 + 4;
      entry += 1;
    }
    // A loop: for the few words that most bodies have, it is faster than fill().
    for (let word = entry + 2; word < entry + bodyWords; word++) words[word] = 0;
    words[entry] = this.#identity.eventId;
    words[entry + 1] = this.#identity.tid;
    this.#store(lane.bytes, entry << 2, values);
    lane.low = low;
    lane.at = entry + entryWords;
    lane.eventsInPage += 1;
    words[lane.page + LANE_COMMIT_WORD] = (lane.at - lane.page - 4) << 2;
    return entry;
  }

  /** Decides how many bytes each value gets; the words of the whole entry. */
  #measure(values: readonly unknown[]): number {
    const { fields, bodyWords, isVariable } = this.#plan;
    if (!isVariable) return bodyWords;
    let left = ENTRY_SIZE_MAX - bodyWords * 4;
    // Each text keeps room for its NUL, whatever those before it take.
    for (let index = 0; index < fields.length; index++) {
      if ((fields[index] as PlannedField).storage === 'text') left -= 4;
    }
    let entryWords = bodyWords;
    for (let index = 0; index < fields.length; index++) {
      const { storage } = fields[index] as PlannedField;
      if (storage !== 'text' && storage !== 'blob') continue;
      const isText = storage === 'text';
      const wanted = isText ? textLength(values[index] as string) : lengthOf(values[index] as Uint8Array);
      const room = isText ? left + 3 : left;
      const length = wanted < room ? wanted : room;
      const valueWords = isText ? (length >> 2) + 1 : (length + 3) >> 2;
      this.#lengths[index] = length;
      left -= valueWords * 4 - (isText ? 4 : 0);
      entryWords += valueWords;
    }
    return entryWords;
  }

  #store(bytes: Buffer, entry: number, values: readonly unknown[]): void {
    const { fields, bodyWords } = this.#plan;
    let place = entry + bodyWords * 4;
    for (let index = 0; index < fields.length; index++) {
      const { storage, offset, size, origin } = fields[index] as PlannedField;
      const value = values[index];
      const start = entry + offset;
      if (storage === 'integer') storeBytes(bytes, start, size, value as number);
      else if (storage === 'long' || storage === 'double') {
        if (storage === 'double') double[0] = value as number;
        else splitLong(value as number | bigint);
        storeBytes(bytes, start, 4, halves[0] as number);
        storeBytes(bytes, start + 4, 4, halves[1] as number);
      } else if (storage === 'fixed-text') writeText(bytes, start, value as string, size);
      else if (storage === 'fixed-blob') copyBytes(bytes, start, value as Uint8Array, size);
      else {
        const length = this.#lengths[index] as number;
        const isText = storage === 'text';
        const end = place + (isText ? ((length >> 2) + 1) << 2 : (length + 3) & ~3);
        // A character that would be cut in two is left out.
        const written = isText
          ? writeText(bytes, place, value as string, length)
          : copyBytes(bytes, place, value as Uint8Array, length);
        for (let rest = place + written; rest < end; rest++) bytes[rest] = 0;
        storeBytes(bytes, start, 4, (place - entry - origin) | ((isText ? written + 1 : written) << 16));
        place = end;
      }
    }
  }
}

function storeBytes(bytes: Uint8Array, start: number, size: number, value: number): void {
  bytes[start] = value;
  if (size === 1) return;
  bytes[start + 1] = value >>> 8;
  if (size === 2) return;
  bytes[start + 2] = value >>> 16;
  bytes[start + 3] = value >>> 24;
}

function textLength(text: string): number {
  return text.length <= SHORT_TEXT_MAX ? shortTextLength(text) : Buffer.byteLength(text);
}

/** Writes as many whole characters as fit into `size` bytes; how many bytes they took. */
function writeText(bytes: Buffer, start: number, text: string, size: number): number {
  if (text.length <= SHORT_TEXT_MAX) return writeShortText(bytes, start, text, size);
  return size === 0 ? 0 : bytes.write(text, start, size);
}

/** Copies as many bytes as fit; how many there were. */
function copyBytes(bytes: Uint8Array, start: number, from: Uint8Array, size: number): number {
  const length = Math.min(lengthOf(from), size);
  for (let index = 0; index < length; index++) bytes[start + index] = from[index] as number;
  return length;
}
