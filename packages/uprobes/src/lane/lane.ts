/**
 * Lane is the reading end of one lane of slots (trampoline/lane-layout.ts). The program writes to the same memory, and nothing that
 * stands there is believed: numbers have bounds, a slot is copied before it is looked at, and a lane whose numbers cannot be is read
 * no more.
 *
 * Slots come out as they are published. One that is not yet holds up the lane's tail, but not the hits behind it.
 *
 * The memory's size must be sealed (F_SEAL_SHRINK): a program that truncates the file would else kill the reader.
 */

import { LANE_HEADER, type LaneSet, SLOT, VOID_PROBE } from '../trampoline/lane-layout.ts';

/** The largest number that a task has (PID_MAX_LIMIT). */
const TASK_MAX = 2 ** 22;
const TWO_TO_32 = 2 ** 32;
/** In how many tries a number of 64 bits is read in two halves that belong together. */
const ATTEMPTS_MAX = 8;

/** A slot as it was published. */
export interface SlotHit {
  /** The time stamp counter's lower and upper 32 bits. */
  readonly low: number;
  readonly high: number;
  /** The thread and its process, as they call themselves. */
  readonly tid: number;
  readonly pid: number;
  /** The probe's number. */
  readonly probe: number;
  /** A copy of the slot; one who keeps it keeps up to 64 KiB. */
  readonly slot: Buffer;
}

/** Slots that were copied together: one copy of many costs less than many of one. */
interface SlotsCopy {
  /** The number of the first, and of the one behind the last. */
  readonly begin: number;
  readonly end: number;
  readonly bytes: Buffer;
  readonly words: Int32Array;
}

const NO_COPY: SlotsCopy = { begin: 0, end: 0, bytes: Buffer.alloc(0), words: new Int32Array(0) };
/** A hit that is kept keeps so much. */
const COPY_BYTES_MAX = 65_536;

/** A slot that was taken and is not published. */
export interface HeldSlot {
  readonly number: number;
  /** Of its first byte, in the memory file. */
  readonly offset: number;
}

export class Lane {
  readonly #bytes: Buffer;
  /** Of the lane, for numbers that change while they are looked at. */
  readonly #halves: Int32Array;
  readonly #longs: BigUint64Array;
  readonly #slotSize: number;
  readonly #slotCount: number;
  /** Slots before this one were taken. */
  #taken = 0;
  /** 1 for slots behind `taken` that were taken before their turn. */
  readonly #isTakenAhead: Uint8Array;
  #unread = 0;
  /** What was copied last, for the slots that come next. */
  #copy = NO_COPY;
  #damage: string | undefined;

  /**
   * @param memory the memory file
   * @param set the lanes that it is one of
   * @param index its number there
   */
  constructor(memory: ArrayBuffer, set: LaneSet, index: number) {
    const start = set.offset + index * 2 ** set.laneSizeShift;
    this.#slotSize = 2 ** set.slotSizeShift;
    this.#slotCount = 2 ** set.slotCountShift;
    const size = LANE_HEADER.size + this.#slotSize * this.#slotCount;
    this.#bytes = Buffer.from(memory, start, size);
    this.#halves = new Int32Array(memory, start, size / 4);
    this.#longs = new BigUint64Array(memory, start, size / 8);
    this.#isTakenAhead = new Uint8Array(this.#slotCount);
    // Whoever read it before has stopped there.
    const tail = this.#number(LANE_HEADER.tail);
    if (tail === undefined) this.#damage = 'its tail cannot be';
    else this.#taken = tail;
  }

  /** Why it is read no more. */
  get damage(): string | undefined {
    return this.#damage;
  }

  /** Hits that were not published, or cannot be read: those for which there was no slot, and those whose slot was lost. */
  get lost(): number {
    return Number(BigInt.asUintN(53, this.#longs[LANE_HEADER.lost / 8] as bigint)) + this.#unread;
  }

  /** Slots that were taken by writers, as of now. */
  get head(): number {
    return this.#number(LANE_HEADER.head) ?? 0;
  }

  /** Slots that writers took and did not publish. */
  held(): HeldSlot[] {
    const held: HeldSlot[] = [];
    const end = this.#damage === undefined ? Math.min(this.head, this.#taken + this.#slotCount) : 0;
    for (let number = this.#taken; number < end; number++) {
      const index = number % this.#slotCount;
      if (this.#isTakenAhead[index] === 1 || this.#isPublished(number, index)) continue;
      held.push({ number, offset: this.#bytes.byteOffset + this.#slotAt(index) });
    }
    return held;
  }

  /**
   * Takes what was published.
   *
   * @param take is given each hit
   * @param passedBelow slots before this number that are still not published never will be
   */
  drain(take: (hit: SlotHit) => void, passedBelow = 0): void {
    if (this.#damage !== undefined) return;
    const head = this.#number(LANE_HEADER.head);
    if (head === undefined || head < this.#taken || head > this.#taken + 2 * this.#slotCount) {
      this.#damage = `its head is ${head ?? 'no number'}, and ${this.#taken} slots were read`;
      return;
    }
    if (head === this.#taken) return;
    this.#copy = NO_COPY;
    let isNext = true;
    // As far as no two numbers have the same slot: while one is held up, that is where it is held up.
    for (let number = this.#taken; number < head && number - this.#taken < this.#slotCount; number++) {
      const index = number % this.#slotCount;
      if (this.#isTakenAhead[index] === 0 && !this.#takeSlot(number, index, take)) {
        if (number >= passedBelow) {
          isNext = false;
          continue;
        }
        this.#unread += 1;
      }
      this.#isTakenAhead[index] = isNext ? 0 : 1;
      if (isNext) this.#taken = number + 1;
    }
    this.#copy = NO_COPY;
    this.#longs[LANE_HEADER.tail / 8] = BigInt(this.#taken);
  }

  /** @returns whether the slot need not be looked at again: it was taken, or is lost */
  #takeSlot(number: number, index: number, take: (hit: SlotHit) => void): boolean {
    if (!this.#isPublished(number, index)) {
      const sequence = this.#number(this.#slotAt(index) + SLOT.sequence) ?? 0;
      // More threads than the margin were between their look at the tail and their slot: a later hit is in this one's place. Its own
      // sequence is there when it was published in this moment; it is taken at the following look.
      const isOverwritten = sequence > number + 1 && (sequence - number - 1) % this.#slotCount === 0;
      if (isOverwritten) this.#unread += 1;
      return isOverwritten;
    }
    if (number >= this.#copy.end) this.#copy = this.#copyFrom(number, index);
    const at = (number - this.#copy.begin) * this.#slotSize;
    const { words, bytes } = this.#copy;
    const hit: SlotHit = {
      low: words[(at + SLOT.time) / 4] as number,
      high: words[(at + SLOT.time + 4) / 4] as number,
      tid: (words[(at + SLOT.tid) / 4] as number) >>> 0,
      pid: (words[(at + SLOT.pid) / 4] as number) >>> 0,
      probe: (words[(at + SLOT.probe) / 4] as number) >>> 0,
      slot: bytes.subarray(at, at + this.#slotSize),
    };
    const isWhole = this.#isPublished(number, index) && isTask(hit.tid) && isTask(hit.pid);
    if (isWhole && hit.probe === VOID_PROBE) return true;
    if (isWhole && hit.probe !== 0) take(hit);
    else this.#unread += 1;
    return true;
  }

  /** Copies slots from one on that are published, one behind the other. */
  #copyFrom(number: number, index: number): SlotsCopy {
    const countMax = Math.min(
      Math.max(1, Math.floor(COPY_BYTES_MAX / this.#slotSize)),
      this.#slotCount - index,
    );
    let count = 1;
    while (count < countMax && this.#isPublished(number + count, index + count)) count += 1;
    const bytes = Buffer.allocUnsafeSlow(count * this.#slotSize);
    this.#bytes.copy(bytes, 0, this.#slotAt(index));
    return { begin: number, end: number + count, bytes, words: new Int32Array(bytes.buffer) };
  }

  #slotAt(index: number): number {
    return LANE_HEADER.size + index * this.#slotSize;
  }

  #isPublished(number: number, index: number): boolean {
    const at = (this.#slotAt(index) + SLOT.sequence) / 4;
    const sequence = number + 1;
    return (
      Atomics.load(this.#halves, at) === (sequence | 0) &&
      Atomics.load(this.#halves, at + 1) === Math.floor(sequence / TWO_TO_32)
    );
  }

  /** A count of 64 bits; undefined when it is more than can be. */
  #number(offset: number): number | undefined {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const high = Atomics.load(this.#halves, offset / 4 + 1);
      const low = Atomics.load(this.#halves, offset / 4);
      if (Atomics.load(this.#halves, offset / 4 + 1) !== high) continue;
      const value = (high >>> 0) * TWO_TO_32 + (low >>> 0);
      return Number.isSafeInteger(value) ? value : undefined;
    }
    return undefined;
  }
}

function isTask(id: number): boolean {
  return id > 0 && id <= TASK_MAX;
}
