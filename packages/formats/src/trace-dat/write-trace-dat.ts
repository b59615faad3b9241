/**
 * Writes a version 6 file: the header, then each lane's pages one behind another. Pages are copied in pieces of
 * at most COPY_SIZE bytes; the event loop runs between pieces.
 */

import { setImmediate as nextTurn } from 'node:timers/promises';
import { assert } from '@usertrace/base';
import type { WritableFile } from '../file-port.ts';
import type { TraceDescription } from './description.ts';
import { PAGE_SIZE } from './layout.ts';
import { encodeV6Header } from './v6-header.ts';

/** The most that is in memory of all pages. */
const COPY_SIZE = 1 << 20;

/** The pages of one lane, wherever they are. */
export interface LaneSource {
  /** Bytes of pages: a multiple of 4096. */
  readonly size: number;
  /**
   * Reads pages.
   *
   * @param position from the lane's first byte
   * @param target to be filled as a whole
   * @returns bytes read; fewer than asked ends the lane, and the rest of it is empty pages
   */
  read(position: number, target: Uint8Array): number;
}

/** How far a copy is. */
export type CopyProgress = (bytesDone: number, bytesTotal: number) => void;

/**
 * Writes a whole file.
 *
 * @param file an empty file; the caller closes it
 * @param description what the file says besides its events
 * @param lanes in the order of their numbers from 0
 * @param onProgress called after each piece
 * @returns the file's bytes
 * @throws {Error} Node's, when the file cannot be written; it is useless then
 */
export async function writeTraceDat(
  file: WritableFile,
  description: TraceDescription,
  lanes: readonly LaneSource[],
  onProgress?: CopyProgress,
): Promise<number> {
  const start = pagesStart(description, lanes);
  const places = placesOf(start, lanes);
  const bytesTotal = bytesOf(lanes);
  const piece = new Uint8Array(Math.min(COPY_SIZE, Math.max(bytesTotal, PAGE_SIZE)));
  let bytesDone = 0;
  for (const [index, lane] of lanes.entries()) {
    assert(lane.size % PAGE_SIZE === 0, 'a lane has whole pages');
    const { offset } = places[index] as { offset: number };
    for (let position = 0; position < lane.size; position += piece.length) {
      const part = piece.subarray(0, Math.min(piece.length, lane.size - position));
      part.fill(0, lane.read(position, part));
      file.write(offset + position, part);
      bytesDone += part.length;
      onProgress?.(bytesDone, bytesTotal);
      await nextTurn();
    }
  }
  file.write(0, encodeV6Header(description, places));
  const end = start + bytesTotal;
  // A reader maps whole pages, also when there are no events behind the header.
  file.truncate(end);
  return end;
}

/**
 * The bytes that {@link writeTraceDat} will need.
 *
 * @param lanes as there
 */
export function traceDatSize(description: TraceDescription, lanes: readonly { size: number }[]): number {
  return pagesStart(description, lanes) + bytesOf(lanes);
}

/** Where the first lane's pages are: behind the header, whose length does not depend on that. */
function pagesStart(description: TraceDescription, lanes: readonly unknown[]): number {
  const header = encodeV6Header(
    description,
    lanes.map(() => ({ offset: 0, size: 0 })),
  );
  return Math.ceil(header.length / PAGE_SIZE) * PAGE_SIZE;
}

function placesOf(start: number, lanes: readonly LaneSource[]): { offset: number; size: number }[] {
  let offset = start;
  return lanes.map(({ size }) => {
    const place = { offset, size };
    offset += size;
    return place;
  });
}

function bytesOf(lanes: readonly { size: number }[]): number {
  return lanes.reduce((sum, { size }) => sum + size, 0);
}
