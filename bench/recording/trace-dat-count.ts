/**
 * Counts what is in a trace.dat file, version 6 or 7, without anything of the code that wrote it (trace-cmd.dat.v6(5),
 * trace-cmd.dat.v7(5)).
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { PageWalk, type RecordCount } from './page-walk.ts';

/** What a file holds. */
export interface FileCount extends RecordCount {
  /** Lost events, as the statistics say: also those after the last event, which no page tells of. */
  readonly lostInAll: number;
  /** Bytes of pages. */
  readonly bytes: number;
}

const VERSION_OFFSET = 10;
/** More than our headers have. */
const HEADER_SIZE_MAX = 4 * 2 ** 20;
const CPU_TABLE_TITLE = 'flyrecord\0';
/** In the text of `per_cpu/cpuN/stats`. */
const STATISTIC = /overrun: (\d+)/;
const OPTIONS_POINTER_OFFSET = 24;
const SECTION_HEADER_SIZE = 16;
const SECTION_SIZE_MAX = 2 ** 20;
const OPTION_DONE = 0;
const OPTION_BUFFER = 3;
const CHAIN_MAX = 100;
const PIECE_SIZE = 4 * 2 ** 20;

/** Where the pages of one buffer are, in bytes. */
interface Place {
  readonly offset: number;
  readonly size: number;
}

function readAt(fd: number, offset: number, size: number): Buffer {
  const bytes = Buffer.alloc(size);
  return bytes.subarray(0, readSync(fd, bytes, 0, size, offset));
}

function placeAt(bytes: Buffer, at: number): Place {
  return { offset: Number(bytes.readBigUInt64LE(at)), size: Number(bytes.readBigUInt64LE(at + 8)) };
}

function placesOfV6(fd: number): Place[] {
  const header = readAt(fd, 0, HEADER_SIZE_MAX);
  const options = header.lastIndexOf('options  \0', header.indexOf(CPU_TABLE_TITLE));
  const cpus = header.readUInt32LE(options - 4);
  const table = header.indexOf(CPU_TABLE_TITLE) + CPU_TABLE_TITLE.length;
  return Array.from({ length: cpus }, (_, cpu) => placeAt(header, table + cpu * 16));
}

/** Those of a BUFFER option: offset, name, clock, page size, CPUs. */
function placesOfBuffer(option: Buffer): Place[] {
  const nameEnd = option.indexOf(0, 8);
  const cpusAt = option.indexOf(0, nameEnd + 1) + 1 + 4;
  const cpus = option.readUInt32LE(cpusAt);
  return Array.from({ length: cpus }, (_, cpu) => placeAt(option, cpusAt + 4 + cpu * 20 + 4));
}

function placesOfV7(fd: number): Place[] {
  const places: Place[] = [];
  let section = Number(readAt(fd, OPTIONS_POINTER_OFFSET, 8).readBigUInt64LE());
  for (let chained = 0; section !== 0 && chained < CHAIN_MAX; chained++) {
    const bytes = readAt(fd, section, SECTION_SIZE_MAX).subarray(SECTION_HEADER_SIZE);
    section = 0;
    for (let at = 0; at + 6 <= bytes.length; ) {
      const id = bytes.readUInt16LE(at);
      const size = bytes.readUInt32LE(at + 2);
      const option = bytes.subarray(at + 6, at + 6 + size);
      if (id === OPTION_DONE) {
        if (size >= 8) section = Number(option.readBigUInt64LE());
        break;
      }
      if (id === OPTION_BUFFER) places.push(...placesOfBuffer(option));
      at += 6 + size;
    }
  }
  return places;
}

/**
 * Counts the records of a file whose only events are those of recording/producer-main.ts.
 *
 * @throws {Error} when the file is none, or has the events of more than one thread
 */
export function countRecords(file: string): FileCount {
  const fd = openSync(file, 'r');
  try {
    const version = readAt(fd, VERSION_OFFSET, 1).toString();
    const places = (version === '6' ? placesOfV6(fd) : placesOfV7(fd)).filter(({ size }) => size > 0);
    if (places.length > 1) throw new Error(`${file} has the events of ${places.length} threads`);
    const walk = new PageWalk();
    const piece = new Uint8Array(PIECE_SIZE);
    for (const { offset, size } of places)
      for (let done = 0; done < size; done += PIECE_SIZE) {
        const wanted = Math.min(PIECE_SIZE, size - done);
        if (readSync(fd, piece, 0, wanted, offset + done) !== wanted)
          throw new Error(`${file} ends too early`);
        walk.add(piece.subarray(0, wanted));
      }
    const lostInAll = Number(STATISTIC.exec(readAt(fd, 0, HEADER_SIZE_MAX).toString('latin1'))?.[1]);
    return { ...walk.count, lostInAll, bytes: places.reduce((sum, { size }) => sum + size, 0) };
  } finally {
    closeSync(fd);
  }
}
