/**
 * A trace.dat file while it is recorded: version 7, and readable at any moment, also after the recorder was killed
 * in the middle of any of these calls. Then it holds everything up to the last checkpoint.
 *
 *     0      4096          v6 header's place   metadata        data start   region size
 *     +------+-------------------------------+-----------------+------------+------------+------ - -
 *     | head | nothing until it is finished  | sections, anew  | lane 0     | lane 1     | lane 2
 *     | u64 ─┼───────────────────────────────┼──> options ─────┼─> pages    |            |
 *     +------+-------------------------------+-----------------+------------+------------+------ - -
 *
 * A checkpoint writes what has changed into free space, and then the eight bytes in the first page that say where
 * the options section is. Nothing that the current options lead to is written over. A kill cannot tear those eight
 * bytes: they lie in one page, and write(2) looks for signals only between pages. A crash of the whole machine can
 * lose or mix what was not yet on the disk.
 *
 * A RecordingFile owns its file, the lanes, and the sections (recording-sections.ts).
 */

import { assert } from '@usertrace/base';
import { type FileTree, nodeFiles, type WritableFile } from '../file-port.ts';
import type { EventFormatText } from '../trace-dat/description.ts';
import { FIRST_PAGE_SIZE, OPTIONS_POINTER_OFFSET, PAGE_SIZE } from '../trace-dat/layout.ts';
import { encodeV7FirstPage } from '../trace-dat/v7-sections.ts';
import { type FinishOptions, type FinishResult, finishRecording } from './finish-recording.ts';
import { LaneRegions, type RecordingLane } from './lane-regions.ts';
import { type MetadataBlock, MetadataSpace } from './metadata-space.ts';
import { PageWindow } from './page-window.ts';
import { type RecordingIdentity, RecordingSections } from './recording-sections.ts';
import { WriteBehind } from './write-behind.ts';

const MIB = 2 ** 20;
/** Room for a version 6 header, so that finishing needs no copy. */
const HEADER_SIZE_DEFAULT = 16 * MIB;
/** Room for sections, some checkpoints of them at a time. */
const METADATA_SIZE_DEFAULT = 64 * MIB;
/** So much of that room has its place on the disk from the start: a last checkpoint can be taken when the disk is full. */
const METADATA_ON_DISK = 64 * 1024;
/** ext4 holds files of 16 TiB: about 4,000 such regions, for as many lanes at a time. */
const REGION_SIZE_DEFAULT = 4 * 1024 * MIB;
/** With a window, regions are of its size: its pages may be of so many lanes that regions of the default size would be too many. */
const WINDOW_REGION_SIZE_MIN = 16 * MIB;

/** What a recording is like. Sizes are in bytes and multiples of 4096. */
export interface RecordingSettings extends RecordingIdentity {
  /** Keep only so many bytes of the newest pages. */
  readonly windowSize?: number;
  /** Bytes of a lane's region. */
  readonly regionSize?: number;
  /** Bytes kept free for the header of the finished file. */
  readonly headerSize?: number;
  /** Bytes for everything that is not pages; a recording with tens of thousands of events needs more. */
  readonly metadataSize?: number;
}

export class RecordingFile {
  readonly #path: string;
  readonly #files: FileTree;
  readonly #file: WritableFile;
  readonly #sections: RecordingSections;
  readonly #metadataOnDisk: MetadataBlock;
  readonly #regions: LaneRegions;
  readonly #window: PageWindow | undefined;
  readonly #behind: WriteBehind | undefined;
  #hasChanged = true;
  #isOpen = true;

  private constructor(path: string, files: FileTree, settings: RecordingSettings) {
    const { headerSize = HEADER_SIZE_DEFAULT, metadataSize = METADATA_SIZE_DEFAULT } = settings;
    const metadataStart = FIRST_PAGE_SIZE + headerSize;
    const dataStart = metadataStart + metadataSize;
    const regionSize = settings.regionSize ?? regionSizeFor(settings.windowSize);
    assert(
      [headerSize, metadataSize, regionSize].every((size) => size % PAGE_SIZE === 0),
      'sizes are of pages',
    );
    this.#path = path;
    this.#files = files;
    this.#metadataOnDisk = { position: metadataStart, size: Math.min(METADATA_ON_DISK, metadataSize) };
    this.#regions = new LaneRegions(dataStart, regionSize, settings.windowSize === undefined);
    this.#file = files.create(path);
    this.#sections = new RecordingSections(
      this.#file,
      new MetadataSpace(metadataStart, metadataSize),
      settings,
    );
    this.#window =
      settings.windowSize === undefined ? undefined : new PageWindow(this.#file, settings.windowSize);
    this.#behind = settings.windowSize === undefined ? new WriteBehind(this.#file) : undefined;
  }

  /**
   * Starts a recording; what was in the file is lost.
   *
   * @param path the file
   * @param settings what the recording is like
   * @param files where the file is; with a `punchHole` a window gives the disk's space back
   * @throws {Error} Node's, when the file cannot be written
   */
  static create(path: string, settings: RecordingSettings, files: FileTree = nodeFiles()): RecordingFile {
    const recording = new RecordingFile(path, files, settings);
    try {
      recording.#file.write(
        recording.#metadataOnDisk.position,
        new Uint8Array(recording.#metadataOnDisk.size),
      );
      const optionsOffset = recording.#sections.write(recording.#regions.all);
      // The magic comes last: a file that has one is whole.
      recording.#file.write(0, encodeV7FirstPage(optionsOffset));
      recording.#passCheckpoint();
    } catch (error) {
      recording.close();
      throw error;
    }
    return recording;
  }

  /** Bytes of pages that the file holds, those since the last checkpoint included. */
  get pageBytes(): number {
    return this.#regions.all.reduce((sum, { start, end }) => sum + end - start, 0);
  }

  /** Adds an event's format; readers know it from the following checkpoint on. */
  addFormat(format: EventFormatText): void {
    this.#sections.addFormat(format);
    this.#hasChanged = true;
  }

  /**
   * Notes a thread's name.
   *
   * @param comm as in /proc/PID/comm, without the line end, one byte a character
   */
  setComm(pid: number, comm: string): void {
    if (this.#sections.setComm(pid, comm)) this.#hasChanged = true;
  }

  /** Adds a lane: one buffer of one thread, whose pages come in the order of their times. */
  addLane(): RecordingLane {
    this.#hasChanged = true;
    return this.#regions.addLane();
  }

  /** Says that a lane gets no more pages, so that its place may be used by others. */
  closeLane(lane: RecordingLane): void {
    this.#regions.closeLane(lane);
  }

  /**
   * Sets the text of `per_cpu/cpuN/stats` for a lane.
   *
   * @param text one byte a character
   */
  setStatistics(lane: RecordingLane, text: string): void {
    lane.statistics = text;
    this.#hasChanged = true;
  }

  /**
   * Appends pages to a lane. They count from the following checkpoint on.
   *
   * @param pages sub-buffers of 4096 bytes; no more than a region's size
   * @throws {Error} Node's, when the disk is full; the lane is as before
   */
  append(lane: RecordingLane, pages: Uint8Array): void {
    assert(pages.length % PAGE_SIZE === 0, 'pages are whole');
    assert(!lane.isClosed, 'the lane is open');
    if (pages.length === 0) return;
    const region = this.#regions.regionFor(lane, pages.length);
    this.#file.write(region.end, pages);
    region.end += pages.length;
    this.#behind?.follow(region);
    this.#hasChanged = true;
  }

  /**
   * Puts another page in the place of the one that was appended to a lane last: the same with more records. It counts
   * at once when a checkpoint lists the former one.
   *
   * @param page a sub-buffer of 4096 bytes
   * @throws {Error} Node's, when the page cannot be written
   */
  rewriteLast(lane: RecordingLane, page: Uint8Array): void {
    assert(page.length === PAGE_SIZE && !lane.isClosed, 'a page is whole, and the lane is open');
    const { start, end } = lane.region;
    // A window has dropped it meanwhile.
    if (start === end) this.append(lane, page);
    else this.#file.write(end - PAGE_SIZE, page);
  }

  /**
   * Makes everything so far part of the file. Costs two small writes, and those of formats and names when they have
   * changed.
   *
   * @throws {Error} Node's, when the disk is full; the previous checkpoint stays current
   * @throws {ErrnoError} ENOSPC, when the metadata has outgrown its place
   */
  checkpoint(): void {
    assert(this.#isOpen, 'the recording is open');
    if (!this.#hasChanged) return;
    this.#window?.trim(this.#regions.all);
    const pointer = new Uint8Array(8);
    new DataView(pointer.buffer).setBigUint64(0, BigInt(this.#sections.write(this.#regions.all)), true);
    this.#file.write(OPTIONS_POINTER_OFFSET, pointer);
    this.#passCheckpoint();
  }

  /**
   * Takes a last checkpoint, closes the file and makes it a version 6 file, which older readers know, too.
   *
   * @throws {Error} Node's, when the last checkpoint cannot be written
   */
  async finish(options: FinishOptions = {}): Promise<FinishResult> {
    try {
      this.checkpoint();
    } finally {
      this.close();
    }
    return finishRecording(this.#path, { files: this.#files, ...options });
  }

  /** Closes the file as it is. Twice is as once. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#file.close();
  }

  #passCheckpoint(): void {
    this.#hasChanged = false;
    this.#sections.passCheckpoint();
    this.#window?.punch();
    for (const region of this.#regions.all) {
      const { lane, start, end } = region;
      const isLeft = lane !== undefined && (lane.region !== region || lane.isClosed);
      if (isLeft && start === end) this.#regions.free(region);
    }
  }
}

function regionSizeFor(windowSize: number | undefined): number {
  if (windowSize === undefined) return REGION_SIZE_DEFAULT;
  const size = Math.ceil(windowSize / PAGE_SIZE) * PAGE_SIZE;
  return Math.min(Math.max(size, WINDOW_REGION_SIZE_MIN), REGION_SIZE_DEFAULT);
}
