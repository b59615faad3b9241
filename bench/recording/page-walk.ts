/**
 * Counts the records of ring buffer pages, by code that shares nothing with what wrote them: the layout is that of
 * events/header_page, events/header_event and the kernel's Documentation/trace/ring-buffer-map.rst.
 *
 * Each record has to be an event that starts, behind the common fields, with a u32 number one higher than the event
 * before; where numbers are missing, a page has to begin that says how many events were lost before it.
 */

const PAGE_SIZE = 4096;
const PAGE_HEADER_SIZE = 16;
const COMMIT_OFFSET = 8;
const LENGTH_MASK = 0xf_ffff;
const IS_MISSING = 0x8000_0000;
const IS_COUNT_STORED = 0x4000_0000;
const TYPE_MASK = 31;
const TYPE_PADDING = 29;
const TYPE_TIME_EXTEND = 30;
const TYPE_TIME_STAMP = 31;
/** u16 type, u8 flags, u8 preempt count, s32 pid. */
const COMMON_FIELDS_SIZE = 8;

/** What the pages say, so far. */
export interface RecordCount {
  readonly records: number;
  /** Lost events, as pages say. */
  readonly lost: number;
  /** Lost events, as the numbers of the events say; -1 when some are missing where no page says so. */
  readonly gaps: number;
}

/** Walks through pages in their order. */
export class PageWalk {
  #records = 0;
  #lost = 0;
  #gaps = 0;
  #isOrdered = true;
  #expected = 0;

  get count(): RecordCount {
    return { records: this.#records, lost: this.#lost, gaps: this.#isOrdered ? this.#gaps : -1 };
  }

  /**
   * Counts the records of further pages.
   *
   * @param pages whole pages, at a multiple of 8 bytes of memory
   * @throws {Error} when a page is no page
   */
  add(pages: Uint8Array): void {
    const words = new Uint32Array(pages.buffer, pages.byteOffset, pages.byteLength / 4);
    for (let page = 0; page < words.length; page += PAGE_SIZE / 4) this.#addPage(words, page);
  }

  #addPage(words: Uint32Array, page: number): void {
    const commit = words[page + COMMIT_OFFSET / 4] ?? 0;
    const length = commit & LENGTH_MASK;
    if (length > PAGE_SIZE - PAGE_HEADER_SIZE) throw new Error(`A page claims ${length} bytes of records`);
    const start = page + PAGE_HEADER_SIZE / 4;
    const end = start + length / 4;
    if ((commit & IS_MISSING) !== 0 && (commit & IS_COUNT_STORED) !== 0)
      this.#lost += (words[end] ?? 0) + (words[end + 1] ?? 0) * 2 ** 32;
    let mayHaveGap = (commit & IS_MISSING) !== 0;
    for (let at = start; at < end; ) {
      const head = words[at] ?? 0;
      const type = head & TYPE_MASK;
      if (type === TYPE_PADDING) return; // to the page's end
      if (type === TYPE_TIME_EXTEND || type === TYPE_TIME_STAMP) {
        at += 2;
        continue;
      }
      const dataAt = type === 0 ? at + 2 : at + 1;
      const number = words[dataAt + COMMON_FIELDS_SIZE / 4] ?? 0;
      if (number !== this.#expected) this.#addGap(number, mayHaveGap);
      mayHaveGap = false;
      this.#expected = number + 1;
      this.#records++;
      at += type === 0 ? 1 + (words[at + 1] ?? 4) / 4 : 1 + type;
    }
  }

  #addGap(number: number, mayBeThere: boolean): void {
    this.#gaps += number - this.#expected;
    this.#isOrdered &&= mayBeThere && number > this.#expected;
  }
}
