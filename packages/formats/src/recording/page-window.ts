/**
 * Keeps only the newest pages of a recording: of all lanes together, the oldest pages go first, by the timestamps
 * that pages begin with. What goes is given back to the file system once no checkpoint lists it.
 */

import { PAGE_SIZE } from '../trace-dat/layout.ts';
import type { WritableFile } from '../file-port.ts';
import type { Region } from './lane-regions.ts';

/** Pages go in steps of this part of the window, so that a step's cost counts for many. */
const STEPS_IN_WINDOW = 1024;

/** Bytes of a file that are not needed any more. */
interface Range {
  readonly start: number;
  readonly end: number;
}

export class PageWindow {
  readonly #file: WritableFile;
  readonly #size: number;
  readonly #step: number;
  readonly #timestamp = new Uint8Array(8);
  /** The time of each region's first kept page, with that page's place. */
  readonly #firstTimes = new Map<Region, { readonly start: number; readonly time: bigint }>();
  #dropped: Range[] = [];

  /**
   * @param file the recording
   * @param size how many bytes of pages to keep
   */
  constructor(file: WritableFile, size: number) {
    this.#file = file;
    this.#size = size;
    this.#step = Math.max(Math.floor(size / STEPS_IN_WINDOW / PAGE_SIZE), 1) * PAGE_SIZE;
  }

  /** Moves the regions' starts forward until no more than the window is kept. */
  trim(regions: readonly Region[]): void {
    let excess = regions.reduce((sum, { start, end }) => sum + end - start, 0) - this.#size;
    while (excess > 0) {
      const oldest = this.#oldest(regions);
      if (oldest === undefined) return;
      const step = Math.min(this.#step, oldest.end - oldest.start, Math.ceil(excess / PAGE_SIZE) * PAGE_SIZE);
      this.#drop({ start: oldest.start, end: oldest.start + step });
      oldest.start += step;
      excess -= step;
    }
  }

  /** Gives the space of what was dropped back. The current checkpoint does not list it. */
  punch(): void {
    for (const { start, end } of this.#dropped) this.#file.punchHole?.(start, end - start);
    this.#dropped = [];
  }

  #drop(range: Range): void {
    const index = this.#dropped.findIndex(({ end }) => end === range.start);
    const before = this.#dropped[index];
    if (before === undefined) this.#dropped.push(range);
    else this.#dropped[index] = { start: before.start, end: range.end };
  }

  #oldest(regions: readonly Region[]): Region | undefined {
    let oldest: Region | undefined;
    let oldestTime = 0n;
    for (const region of regions) {
      if (region.start === region.end) continue;
      const time = this.#firstTime(region);
      if (oldest === undefined || time < oldestTime) {
        oldest = region;
        oldestTime = time;
      }
    }
    return oldest;
  }

  #firstTime(region: Region): bigint {
    const known = this.#firstTimes.get(region);
    if (known?.start === region.start) return known.time;
    this.#file.read(region.start, this.#timestamp);
    const time = new DataView(this.#timestamp.buffer).getBigUint64(0, true);
    this.#firstTimes.set(region, { start: region.start, time });
    return time;
  }
}
