/**
 * Has the pages of a recording written to the disk while it goes on, in steps, and taken out of memory some steps
 * later. Without it the kernel gathers them until memory is a tenth full of them, and then makes each write(2) wait
 * for the disk: far more time than the recorder has before a lane is full. Pages that are dropped are also the ones
 * that following writes get, so that the recorder's memory stays small and warm.
 *
 * Neither call waits for the disk, unless its queue is full (sync_file_range(2)). Not for a window: what it drops
 * soon need not reach the disk at all.
 */

import type { WritableFile } from '../file-port.ts';
import type { Region } from './lane-regions.ts';

const STEP_SIZE = 8 * 2 ** 20;
/** So many steps stay in memory: the disk may be as far behind before pages cannot be dropped. */
const STEPS_KEPT = 8;

export class WriteBehind {
  readonly #file: WritableFile;
  /** Up to where the disk has been told to write each region. */
  readonly #begun = new Map<Region, number>();

  /** @param file the recording */
  constructor(file: WritableFile) {
    this.#file = file;
  }

  /** Looks at a region that has grown. */
  follow(region: Region): void {
    let begun = this.#begun.get(region) ?? region.base;
    while (region.end - begun >= STEP_SIZE) {
      this.#file.beginWriting?.(begun, STEP_SIZE);
      const old = begun - STEPS_KEPT * STEP_SIZE;
      if (old >= region.base) this.#file.dropCached?.(old, STEP_SIZE);
      begun += STEP_SIZE;
    }
    this.#begun.set(region, begun);
  }
}
