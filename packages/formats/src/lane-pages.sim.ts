/** Makes lanes' pages for tests: events as a tracepoint writes them, with lost events and jumps in time. */

import {
  COMMON_FIELDS_SIZE,
  ENTRY_MAX,
  formatFileText,
  HEADER_EVENT_TEXT,
  HEADER_PAGE_TEXT,
  parseFields,
  SMALL_ENTRY_MAX,
  SUB_BUFFER_HEADER_SIZE,
  SUB_BUFFER_SIZE,
  sealSubBuffer,
  TIME_DELTA_LIMIT,
} from '@usertrace/abi';
import type { EventFormatText, TraceDescription } from './trace-dat/description.ts';

const EXTEND = 30;
const STAMP = 31;

/** The format of a user event from its command's fields. */
export function userFormat(name: string, id: number, fields: string): EventFormatText {
  const parsed = parseFields(fields);
  if (typeof parsed === 'string') throw new Error(`${fields}: ${parsed}`);
  return { system: 'user_events', text: formatFileText(name, id, parsed) };
}

/** A description for tests. */
export function description(
  formats: readonly EventFormatText[],
  comms: readonly (readonly [number, string])[] = [],
  clock = 'mono',
): TraceDescription {
  return {
    headerPage: HEADER_PAGE_TEXT,
    headerEvent: HEADER_EVENT_TEXT,
    formats,
    commByPid: new Map(comms),
    clock,
    uname: 'Linux test 6.1.0 x86_64',
    version: 'usertrace test',
    traceId: 0x1234_5678_9abc_def0n,
    statistics: ['CPU: 0\nentries: 5\n'],
  };
}

/** Fills pages one behind another. */
export class LanePages {
  readonly #pages: Uint8Array[] = [];
  #page = new Uint8Array(SUB_BUFFER_SIZE);
  #view = new DataView(this.#page.buffer);
  #length = 0;
  #pageTime = 0n;
  #time = 0n;
  #lost: number | 'unknown' = 0;

  /** Events lost before the following one. */
  lose(count: number | 'unknown'): void {
    this.#seal();
    this.#lost = count;
  }

  /**
   * Adds an event.
   *
   * @param absolute store the time as a stamp of its own
   */
  add(time: bigint, id: number, pid: number, payload: Uint8Array, absolute = false): void {
    const entryLength = (COMMON_FIELDS_SIZE + payload.length + 3) & ~3;
    if (entryLength > ENTRY_MAX) throw new Error('the event is too long');
    const header = entryLength > SMALL_ENTRY_MAX ? 8 : 4;
    if (this.#length + entryLength + header + 8 > SUB_BUFFER_SIZE - SUB_BUFFER_HEADER_SIZE) this.#seal();
    if (this.#length === 0) {
      this.#pageTime = absolute ? time - 1n : time;
      this.#time = this.#pageTime;
    }
    let delta = Number(time - this.#time);
    if (absolute) {
      const bits = time & (2n ** 59n - 1n);
      this.#word(Number(bits % BigInt(TIME_DELTA_LIMIT)) * 32 + STAMP);
      this.#word(Number(bits / BigInt(TIME_DELTA_LIMIT)));
      delta = 0;
    } else if (delta >= TIME_DELTA_LIMIT) {
      this.#word((delta % TIME_DELTA_LIMIT) * 32 + EXTEND);
      this.#word(Math.floor(delta / TIME_DELTA_LIMIT));
      delta = 0;
    }
    this.#time = time;
    this.#word(delta * 32 + (header === 4 ? entryLength / 4 : 0));
    if (header === 8) this.#word(entryLength + 4);
    const start = SUB_BUFFER_HEADER_SIZE + this.#length;
    this.#view.setUint16(start, id, true);
    this.#view.setInt32(start + 4, pid, true);
    this.#page.set(payload, start + COMMON_FIELDS_SIZE);
    this.#length += entryLength;
  }

  /** All pages; nothing may be added afterwards. */
  built(): Uint8Array {
    this.#seal();
    return Buffer.concat(this.#pages);
  }

  #word(value: number): void {
    this.#view.setUint32(SUB_BUFFER_HEADER_SIZE + this.#length, value, true);
    this.#length += 4;
  }

  #seal(): void {
    if (this.#length === 0) return;
    sealSubBuffer(this.#page, this.#pageTime, this.#length, this.#lost === 'unknown' ? 1 : this.#lost);
    if (this.#lost === 'unknown') {
      // The flag alone, as on a page without room for the number.
      this.#view.setUint32(8, this.#length + 2 ** 31, true);
      this.#page.fill(0, SUB_BUFFER_HEADER_SIZE + this.#length);
    }
    this.#pages.push(this.#page);
    this.#page = new Uint8Array(SUB_BUFFER_SIZE);
    this.#view = new DataView(this.#page.buffer);
    this.#length = 0;
    this.#lost = 0;
  }
}

/** Numbers between 0 and 1, the same for the same seed (mulberry32). */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The payload of an event that is a u32 alone. */
export function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

/** A dynamic value's place in 4 bytes. */
export function location(offset: number, size: number): Uint8Array {
  return u32(size * 2 ** 16 + offset);
}
