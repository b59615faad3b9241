/**
 * A trace.dat file to be read: what it says, and its lanes. It checks what it reads; a file that is cut or damaged
 * gives an error or fewer events. It holds the metadata; pages are read one at a time.
 *
 * The caller owns the open file.
 */

import type { ReadableFile } from '../file-port.ts';
import type { Decompress } from './compression.ts';
import type { LanePlace, TraceDescription } from './description.ts';
import { damaged, FileCursor } from './file-cursor.ts';
import { MAGIC } from './layout.ts';
import { BOUND } from './metadata-reader.ts';
import { CompressedPages, type PageSource, PlainPages } from './page-source.ts';
import { TraceDatError } from './trace-dat-error.ts';
import { readV6 } from './v6-reader.ts';
import { readV7 } from './v7-reader.ts';

/** What a reader of a version finds. */
export interface FileContents {
  readonly description: TraceDescription;
  readonly lanes: readonly LanePlace[];
  readonly decompress: Decompress | undefined;
  readonly otherInstances: readonly string[];
  readonly metadataStart: number;
}

const PAGE_DATA_OFFSET = 16;
const SUB_BUFFER_SIZE_MAX = 1 << 20;
/** A reader of all lanes holds a page of each: 65,536 of the usual size. */
const PAGES_HELD_MAX = 1 << 28;

export class TraceDatFile {
  readonly version: 6 | 7;
  readonly description: TraceDescription;
  /** The lanes of the top instance, or of the only one: what is in the file of them. */
  readonly lanes: readonly LanePlace[];
  /** Names of instances whose events are not read. */
  readonly otherInstances: readonly string[];
  /** Where the first section of a version 7 file is, in bytes. */
  readonly metadataStart: number;
  /** Bytes of a page. */
  readonly pageSize: number;
  /** Sentences about what is missing. */
  readonly warnings: readonly string[];
  readonly #file: ReadableFile;
  readonly #decompress: Decompress | undefined;

  private constructor(file: ReadableFile, version: 6 | 7, contents: FileContents) {
    this.#file = file;
    this.version = version;
    this.description = contents.description;
    this.otherInstances = contents.otherInstances;
    this.metadataStart = contents.metadataStart;
    this.#decompress = contents.decompress;
    this.pageSize = pageSizeOf(contents.description.headerPage);
    const size = file.size();
    const warnings: string[] = [];
    const cut: number[] = [];
    this.lanes = contents.lanes.map((lane) => {
      const kept = Math.min(lane.size, Math.max(0, size - lane.offset));
      if (kept < lane.size) cut.push(lane.cpu);
      return { ...lane, size: kept };
    });
    if (cut.length === 1) warnings.push(`the file ends before CPU ${cut[0]} does`);
    else if (cut.length > 1)
      warnings.push(`the file ends before ${cut.length} CPUs do, from CPU ${cut[0]} on`);
    const filled = this.lanes.filter((lane) => lane.size > 0).length;
    if (filled * this.pageSize > PAGES_HELD_MAX)
      throw damaged(`${filled} CPUs with pages of ${this.pageSize} bytes`);
    for (const name of contents.otherInstances)
      warnings.push(`events of the instance "${name}" are left out`);
    this.warnings = warnings;
  }

  /**
   * Reads everything but the pages.
   *
   * @param file stays open while lanes are read
   * @throws {TraceDatError} when it is no trace.dat file, is damaged, or has what this reader does not know
   */
  static read(file: ReadableFile): TraceDatFile {
    const cursor = new FileCursor(file, 0);
    if (cursor.left < MAGIC.length || !MAGIC.every((byte) => cursor.u8() === byte)) {
      throw new TraceDatError(
        'Cannot read the trace: it is no trace.dat file, or nothing is recorded in it yet',
      );
    }
    const version = cursor.cString('its version', BOUND.name);
    if (version !== '6' && version !== '7') {
      throw new TraceDatError(
        `Cannot read the trace: it has version "${version}"; versions 6 and 7 are known`,
      );
    }
    if (cursor.u8() !== 0) throw new TraceDatError('Cannot read the trace: it is of a big-endian machine');
    if (cursor.u8() !== 8) throw new TraceDatError('Cannot read the trace: it is of a 32-bit machine');
    cursor.u32();
    return version === '6'
      ? new TraceDatFile(file, 6, readV6(cursor))
      : new TraceDatFile(file, 7, readV7(file, cursor));
  }

  /** The pages of a lane, from the first on. */
  pages(lane: LanePlace): PageSource {
    return this.#decompress === undefined
      ? new PlainPages(this.#file, lane)
      : new CompressedPages(this.#file, lane, this.#decompress);
  }
}

/** Bytes of a page, from the header_page text. */
function pageSizeOf(headerPage: string): number {
  const field = (name: string): { offset: number; size: number } | undefined => {
    const match = new RegExp(`field: [^;]*\\b${name};\\s*offset:(\\d+);\\s*size:(\\d+);`).exec(headerPage);
    return match === null ? undefined : { offset: Number(match[1]), size: Number(match[2]) };
  };
  const content = field('data');
  const commit = field('commit');
  if (commit?.offset !== 8 || commit.size !== 8 || content?.offset !== PAGE_DATA_OFFSET) {
    throw new TraceDatError('Cannot read the trace: its pages have a layout that is not known');
  }
  const size = content.offset + content.size;
  if (size < 64 || size > SUB_BUFFER_SIZE_MAX || size % 8 !== 0) throw damaged(`pages of ${size} bytes`);
  return size;
}
