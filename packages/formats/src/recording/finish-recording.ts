/**
 * Makes a version 6 file of a recording, when it ends or any time later. Until the last step the recording is as it was:
 * either one write of the first page turns it into a version 6 file in place, or a copy takes its name.
 */

import { type FileTree, nodeFiles, type WritableFile } from '../file-port.ts';
import type { LanePlace } from '../trace-dat/description.ts';
import { FIRST_PAGE_SIZE } from '../trace-dat/layout.ts';
import { TraceDatError } from '../trace-dat/trace-dat-error.ts';
import { TraceDatFile } from '../trace-dat/trace-dat-file.ts';
import { encodeV6Header } from '../trace-dat/v6-header.ts';
import { type CopyProgress, traceDatSize, writeTraceDat } from '../trace-dat/write-trace-dat.ts';

/** Below this a copy is quick, and the file has no hole in front of its pages. */
const IN_PLACE_AT_LEAST_DEFAULT = 64 * 2 ** 20;
/** What a recording's version text begins with; others' files stay as they are. */
const OWN_VERSION = 'usertrace';

/** How to finish. */
export interface FinishOptions {
  readonly files?: FileTree;
  /** Called while pages are copied. */
  readonly onProgress?: CopyProgress;
  /** From how many bytes of pages on a recording of a single lane is turned in place. */
  readonly inPlaceAtLeast?: number;
}

/** What became of a recording. */
export type FinishResult =
  | { readonly state: 'finished'; readonly how: 'in place' | 'copied' | 'already'; readonly size: number }
  /** It is still version 7, whole and readable. */
  | { readonly state: 'unfinished'; readonly reason: string };

/**
 * Finishes a recording that nobody records any more.
 *
 * @param path a file of RecordingFile
 * @throws {TraceDatError} when it is no such file
 * @throws {Error} Node's, when the file cannot be read
 */
export async function finishRecording(path: string, options: FinishOptions = {}): Promise<FinishResult> {
  const { files = nodeFiles(), inPlaceAtLeast = IN_PLACE_AT_LEAST_DEFAULT } = options;
  const file = files.openToChange(path);
  try {
    const recording = TraceDatFile.read(file);
    if (recording.version === 6) return { state: 'finished', how: 'already', size: file.size() };
    if (!recording.description.version.startsWith(OWN_VERSION)) {
      throw new TraceDatError(`Cannot finish ${path}: another program recorded it; it is readable as it is`);
    }
    const filled = recording.lanes.filter(({ size }) => size > 0);
    const [only] = filled;
    if (only !== undefined && filled.length === 1 && only.size >= inPlaceAtLeast) {
      const size = turnInPlace(file, recording, only);
      if (size !== undefined) return { state: 'finished', how: 'in place', size };
    }
    return await copyBeside(path, files, file, recording, options.onProgress);
  } finally {
    file.close();
  }
}

/** The file's size then; undefined when the header does not fit before what is in use. */
function turnInPlace(file: WritableFile, recording: TraceDatFile, lane: LanePlace): number | undefined {
  const { description, metadataStart } = recording;
  const places = lanesByNumber(recording.lanes).map((place) => place ?? { offset: lane.offset, size: 0 });
  const header = encodeV6Header(description, places);
  const roomEnd = Math.min(metadataStart, lane.offset);
  const isAligned = lane.offset % FIRST_PAGE_SIZE === 0;
  if (header.length > roomEnd || !isAligned) return undefined;
  if (header.length > FIRST_PAGE_SIZE) file.write(FIRST_PAGE_SIZE, header.subarray(FIRST_PAGE_SIZE));
  const firstPage = new Uint8Array(FIRST_PAGE_SIZE);
  firstPage.set(header.subarray(0, FIRST_PAGE_SIZE));
  file.write(0, firstPage);
  const end = lane.offset + lane.size;
  file.truncate(end);
  const holeStart = Math.ceil(header.length / FIRST_PAGE_SIZE) * FIRST_PAGE_SIZE;
  if (lane.offset > holeStart) file.punchHole?.(holeStart, lane.offset - holeStart);
  return end;
}

async function copyBeside(
  path: string,
  files: FileTree,
  file: WritableFile,
  recording: TraceDatFile,
  onProgress: CopyProgress | undefined,
): Promise<FinishResult> {
  const { description } = recording;
  const sources = lanesByNumber(recording.lanes).map((place) => ({
    size: place?.size ?? 0,
    read: (position: number, target: Uint8Array): number =>
      place === undefined ? 0 : file.read(place.offset + position, target),
  }));
  const needed = traceDatSize(description, sources);
  if (files.freeBytes(path) < needed) return unfinished(needed);
  const copyPath = `${path}.finishing`;
  let size: number;
  try {
    const copy = files.createAnew(copyPath);
    try {
      size = await writeTraceDat(copy, description, sources, onProgress);
    } finally {
      copy.close();
    }
    files.rename(copyPath, path);
  } catch (error) {
    files.remove(copyPath);
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOSPC' || code === 'EDQUOT') return unfinished(needed);
    throw error;
  }
  return { state: 'finished', how: 'copied', size };
}

function unfinished(needed: number): FinishResult {
  return {
    state: 'unfinished',
    reason: `the disk has no ${Math.ceil(needed / 2 ** 20)} MiB free for the finished file`,
  };
}

/** Version 6 knows a lane's number by its place in a table. */
function lanesByNumber(lanes: readonly LanePlace[]): (LanePlace | undefined)[] {
  const byNumber = new Map(lanes.map((lane) => [lane.cpu, lane]));
  const count = Math.max(-1, ...byNumber.keys()) + 1;
  return Array.from({ length: count }, (_, cpu) => byNumber.get(cpu));
}
