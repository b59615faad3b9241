/**
 * Looking over a lane's page before it goes anywhere: are its records what its provider may have written, which of
 * them are wanted, and what are their ids there where they go.
 *
 * `RecordRules` belong to one lane and grow with its event table. A scan costs about 6 ns a record, a tenth of what
 * writing the records costs; so a reader scans every page, and copies only those anew of which it wants a part.
 */
import {
  COMMON_FIELDS_SIZE,
  ENTRY_MAX,
  RecordCursor,
  SUB_BUFFER_HEADER_SIZE,
  TIME_DELTA_LIMIT,
  TYPE_LEN_TIME_EXTEND,
} from '@usertrace/abi';
import { assert } from '@usertrace/base';

/** Bytes that an entry may be longer than its fields. */
const LONGEST_PADDING = 7;
const TYPE_LEN_MASK = 31;
const TYPE_LEN_BITS = 5;
/** The thread of a lane whose records are of many. */
const ANY_THREAD = 0;
/** A rule's answer for events that are left out. */
const LEFT_OUT = 0;

/** What a lane's records may be, and what becomes of them. */
export class RecordRules {
  /** The thread whose lane it is: `common_pid` of every record; ANY_THREAD for a lane of many. */
  readonly tid: number;
  /** The id of the lane's first event; the others' follow. */
  readonly firstId: number;
  /** The id of each event in the output; LEFT_OUT for one that is not wanted. */
  readonly writtenIds: Uint16Array;
  /** Bytes that an entry of each event has at least; more than there can be for an event that is not there. */
  readonly minimumLengths: Uint16Array;
  /** Bytes that an entry of each event has at most. */
  readonly maximumLengths: Uint16Array;

  /**
   * Rules without an event.
   *
   * @param tid the thread whose lane it is, or ANY_THREAD
   * @param firstId the id of the lane's first event
   * @param eventsMax how many events there may be
   */
  constructor(tid: number, firstId: number, eventsMax: number) {
    this.tid = tid;
    this.firstId = firstId;
    this.writtenIds = new Uint16Array(eventsMax);
    this.minimumLengths = new Uint16Array(eventsMax).fill(ENTRY_MAX + 1);
    this.maximumLengths = new Uint16Array(eventsMax).fill(ENTRY_MAX);
  }

  /**
   * Adds an event of the lane.
   *
   * @param id its id in the lane
   * @param payloadMinimum bytes of its fields without the dynamic parts
   * @param hasDynamicPart whether an entry may be longer than that
   * @param writtenId its id in the output, from 1 up; undefined leaves it out
   */
  add(id: number, payloadMinimum: number, hasDynamicPart: boolean, writtenId: number | undefined): void {
    const index = id - this.firstId;
    assert(index >= 0 && index < this.writtenIds.length, 'an event has one of the ids');
    const minimum = Math.min(COMMON_FIELDS_SIZE + payloadMinimum, ENTRY_MAX + 1);
    this.minimumLengths[index] = minimum;
    // Entries are padded to 4 bytes, and to 8 where a record would have 12 in all.
    this.maximumLengths[index] = hasDynamicPart ? ENTRY_MAX : minimum + LONGEST_PADDING;
    this.writtenIds[index] = writtenId ?? LEFT_OUT;
  }
}

/** What a scan found. */
export interface PageScan {
  /** Events up to the first one that breaks a rule. */
  readonly events: number;
  /** Those of them that are wanted. */
  readonly wanted: number;
  /** Those of the wanted ones that have another id in the output. */
  readonly renamed: number;
  /** Bytes of records up to there. */
  readonly dataLength: number;
  /** The time of the last one, in nanoseconds after the page's timestamp. */
  readonly elapsedNs: number;
  /** Whether all records keep the rules and end where the page says. */
  readonly isWhole: boolean;
}

const NOTHING = new DataView(new ArrayBuffer(SUB_BUFFER_HEADER_SIZE));
/** One for all pages: walking one is never interrupted by another. */
const cursor = new RecordCursor(NOTHING);

/**
 * Looks over the records of a page. Padding and time stamps, which no writer of lanes makes, break the rules.
 *
 * @param page a copy of a sub-buffer, aligned to 4 bytes
 * @param dataLength bytes of its records
 * @param rules of its lane
 * @param elapsedMax the latest time that a record may have, in nanoseconds after the page's timestamp
 */
export function scanPage(
  page: Uint8Array,
  dataLength: number,
  rules: RecordRules,
  elapsedMax: number,
): PageScan {
  // Not a RecordCursor: this loop takes a third of its time, and a recorder spends most of its own here.
  const words = new Int32Array(page.buffer, page.byteOffset, page.byteLength >> 2);
  const { tid, firstId, writtenIds, minimumLengths, maximumLengths } = rules;
  const end = (SUB_BUFFER_HEADER_SIZE + dataLength) >> 2;
  let at = SUB_BUFFER_HEADER_SIZE >> 2;
  let events = 0;
  let wanted = 0;
  let renamed = 0;
  let good = at;
  let elapsedNs = 0;
  let recordNs = 0;
  while (at < end) {
    const header = words[at] as number;
    const typeLength = header & TYPE_LEN_MASK;
    const delta = header >>> TYPE_LEN_BITS;
    let entry = at + 1;
    let entryWords = typeLength;
    if (typeLength === TYPE_LEN_TIME_EXTEND) {
      recordNs += ((words[entry] as number) >>> 0) * TIME_DELTA_LIMIT + delta;
      at += 2;
      continue;
    }
    if (typeLength > TYPE_LEN_TIME_EXTEND - 2) break;
    if (typeLength === 0) {
      entryWords = ((((words[entry] as number) + 3) >>> 2) - 1) | 0;
      entry += 1;
    }
    if (entryWords < 2 || entry + entryWords > end) break;
    const recordTid = words[entry + 1] as number;
    if (recordTid !== tid && (tid !== ANY_THREAD || recordTid < 0)) break;
    // With the flags and the preempt count, which are 0 in a lane.
    const id = words[entry] as number;
    const index = id - firstId;
    if (index < 0 || index >= minimumLengths.length) break;
    recordNs += delta;
    if (entryWords * 4 < (minimumLengths[index] as number)) break;
    if (entryWords * 4 > (maximumLengths[index] as number) || recordNs > elapsedMax) break;
    const written = writtenIds[index] as number;
    if (written !== LEFT_OUT) {
      wanted++;
      if (written !== id) renamed++;
    }
    events++;
    elapsedNs = recordNs;
    at = entry + entryWords;
    good = at;
  }
  const goodLength = good * 4 - SUB_BUFFER_HEADER_SIZE;
  return { events, wanted, renamed, dataLength: goodLength, elapsedNs, isWhole: goodLength === dataLength };
}

/**
 * Where the last record of a scanned page starts. When the following one breaks a rule, it may be this one's length
 * that is wrong, and then its last field is as well.
 *
 * @param page the copy that was scanned
 * @param dataLength of the scan
 * @returns bytes of the records before it
 */
export function lengthWithoutLast(page: Uint8Array, dataLength: number): number {
  cursor.reset(new DataView(page.buffer, page.byteOffset, page.byteLength));
  let before = SUB_BUFFER_HEADER_SIZE;
  let start = SUB_BUFFER_HEADER_SIZE;
  while (cursor.advance(SUB_BUFFER_HEADER_SIZE + dataLength)) {
    before = start;
    start = cursor.position;
  }
  return before - SUB_BUFFER_HEADER_SIZE;
}

/**
 * Puts the ids of the output into the wanted records of a scanned page.
 *
 * @param page the copy that was scanned
 * @param dataLength of the scan
 * @param rules of the scan
 */
export function renameRecords(page: Uint8Array, dataLength: number, rules: RecordRules): void {
  const view = new DataView(page.buffer, page.byteOffset, page.byteLength);
  cursor.reset(view);
  while (cursor.advance(SUB_BUFFER_HEADER_SIZE + dataLength)) {
    const written = rules.writtenIds[view.getUint16(cursor.entryStart, true) - rules.firstId] as number;
    if (written !== LEFT_OUT) view.setUint16(cursor.entryStart, written, true);
  }
}

/** Is given each wanted record of a page: its time after the page's timestamp, and where its entry is. */
export type RecordTaker = (elapsedNs: number, start: number, length: number) => void;

/**
 * Goes through the wanted records of a scanned page, and puts the ids of the output into them.
 *
 * @param page the copy that was scanned
 * @param dataLength of the scan
 * @param rules of the scan
 * @param fromElapsed records of an earlier time are left out; nanoseconds after the page's timestamp
 * @param take is given each record
 */
export function takeWanted(
  page: Uint8Array,
  dataLength: number,
  rules: RecordRules,
  fromElapsed: number,
  take: RecordTaker,
): void {
  const view = new DataView(page.buffer, page.byteOffset, page.byteLength);
  cursor.reset(view);
  while (cursor.advance(SUB_BUFFER_HEADER_SIZE + dataLength)) {
    const { entryStart, entryLength, elapsedNs } = cursor;
    const written = rules.writtenIds[view.getUint16(entryStart, true) - rules.firstId] as number;
    if (written === LEFT_OUT || elapsedNs < fromElapsed) continue;
    view.setUint16(entryStart, written, true);
    take(elapsedNs, entryStart, entryLength);
  }
}

/**
 * Counts the events of a scanned page.
 *
 * @param page the copy that was scanned
 * @param dataLength of the scan
 * @param rules of the scan
 * @param from where to begin: bytes of records that were counted before, and nanoseconds after the page's timestamp
 *   before which nothing counts
 * @param counts raised by the events of each index; as long as the rules
 */
export function countRecords(
  page: Uint8Array,
  dataLength: number,
  rules: RecordRules,
  from: { readonly dataLength: number; readonly elapsedNs: number },
  counts: Float64Array,
): void {
  const view = new DataView(page.buffer, page.byteOffset, page.byteLength);
  cursor.reset(view);
  while (cursor.advance(SUB_BUFFER_HEADER_SIZE + dataLength)) {
    if (cursor.position <= SUB_BUFFER_HEADER_SIZE + from.dataLength || cursor.elapsedNs < from.elapsedNs)
      continue;
    const index = view.getUint16(cursor.entryStart, true) - rules.firstId;
    counts[index] = (counts[index] as number) + 1;
  }
}
