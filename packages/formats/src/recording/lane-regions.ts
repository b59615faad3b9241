/**
 * Where lanes' pages lie in a recording file: each lane appends to a region of its own, far from the others' in a
 * sparse file. A lane whose region is full takes the space behind it while nobody else has that, and otherwise goes
 * on in another region, which readers see as another CPU. A region's number is that CPU's. What an ended lane has not
 * used is the following lane's: file systems bound a file's length (ext4 at 16 TiB), and programs start any number of threads.
 */

import { assert } from '@usertrace/base';

/** A part of the file that one lane appends to. */
export interface Region {
  /** The CPU's number in the file. */
  readonly cpu: number;
  /** Where it begins, from the file's start in bytes. */
  readonly base: number;
  /** Where it ends: a lane that takes more grows it, one that has ended leaves the rest. */
  limit: number;
  /** The first page that is kept. */
  start: number;
  /** Behind the last page. */
  end: number;
  /** The lane that appends here or has appended here; undefined while the region is free. */
  lane: RecordingLane | undefined;
}

/** One buffer of one thread, as RecordingFile.addLane makes it. */
export interface RecordingLane {
  /** The region that it appends to. */
  region: Region;
  /** Nothing is appended any more. */
  isClosed: boolean;
  /** The text of `per_cpu/cpuN/stats` for it; empty when there is none. */
  statistics: string;
}

export class LaneRegions {
  readonly #dataStart: number;
  readonly #regionSize: number;
  readonly #mayGrow: boolean;
  readonly #regions: Region[] = [];
  /** What ended lanes have not used of their regions; each at least half a region. */
  readonly #rests: { readonly base: number; readonly limit: number }[] = [];
  /** How many times the region size is in use. */
  #slotCount = 0;

  /**
   * @param dataStart where the first region begins, in bytes
   * @param regionSize bytes of a region
   * @param mayGrow whether a region may become longer; not where old pages go, since offsets would never come around
   */
  constructor(dataStart: number, regionSize: number, mayGrow: boolean) {
    this.#dataStart = dataStart;
    this.#regionSize = regionSize;
    this.#mayGrow = mayGrow;
  }

  /** All regions by CPU number, free ones too. */
  get all(): readonly Region[] {
    return this.#regions;
  }

  /** Gives a new lane its region. */
  addLane(): RecordingLane {
    const region = this.#take(0);
    const lane: RecordingLane = { region, isClosed: false, statistics: '' };
    region.lane = lane;
    return lane;
  }

  /**
   * The region that a lane can append to.
   *
   * @param size bytes to be appended; no more than a region
   */
  regionFor(lane: RecordingLane, size: number): Region {
    assert(size <= this.#regionSize, 'an append fits into a region');
    const { region } = lane;
    if (region.end + size <= region.limit) return region;
    if (this.#mayGrow && region.limit === this.#dataStart + this.#slotCount * this.#regionSize) {
      this.#slotCount += 1;
      region.limit += this.#regionSize;
      return region;
    }
    const following = this.#take(size);
    following.lane = lane;
    lane.region = following;
    return following;
  }

  /** Nothing more is appended to a lane. */
  closeLane(lane: RecordingLane): void {
    lane.isClosed = true;
    const { region } = lane;
    // Where old pages go, and where none came, the whole region will be free.
    if (!this.#mayGrow || region.start === region.end) return;
    if (region.limit - region.end < this.#regionSize / 2) return;
    this.#rests.push({ base: region.end, limit: region.limit });
    region.limit = region.end;
  }

  /** Lets other lanes use a region. No current checkpoint may list pages of it. */
  free(region: Region): void {
    region.lane = undefined;
    region.start = region.base;
    region.end = region.base;
  }

  /** A region with room for so many bytes. */
  #take(size: number): Region {
    const free = this.#regions.find(({ lane, base, limit }) => lane === undefined && limit - base >= size);
    if (free !== undefined) return free;
    const { base, limit } = this.#takeRest(size) ?? this.#takeSlot();
    const region = { cpu: this.#regions.length, base, limit, start: base, end: base, lane: undefined };
    this.#regions.push(region);
    return region;
  }

  #takeRest(size: number): Pick<Region, 'base' | 'limit'> | undefined {
    const index = this.#rests.findIndex(({ base, limit }) => limit - base >= size);
    return index < 0 ? undefined : this.#rests.splice(index, 1)[0];
  }

  #takeSlot(): Pick<Region, 'base' | 'limit'> {
    const base = this.#dataStart + this.#slotCount * this.#regionSize;
    this.#slotCount += 1;
    return { base, limit: base + this.#regionSize };
  }
}
