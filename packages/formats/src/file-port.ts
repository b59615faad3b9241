/**
 * Files as this package uses them: bytes at positions. The real ones are of node:fs; tests have one in memory that
 * remembers each write, and callers may add the calls that node:fs does not have.
 *
 * Whoever opens a file closes it.
 */

import { ErrnoError } from '@usertrace/base';
import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statfsSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';

/** Recordings hold what programs say: only their owner may read them. */
const PRIVATE = 0o600;

/** A file that can be read. */
export interface ReadableFile {
  /** Bytes of the file now. */
  size(): number;
  /**
   * Reads up to the length of `target`.
   *
   * @returns how many bytes were read; fewer than asked only at the end of the file
   */
  read(position: number, target: Uint8Array): number;
  close(): void;
}

/** A file that can be written. */
export interface WritableFile extends ReadableFile {
  /** Writes all of the bytes, or throws. */
  write(position: number, bytes: Uint8Array): void;
  truncate(size: number): void;
  /** Gives a range's space back; it reads as zeros from then on, and the file keeps its size. */
  readonly punchHole?: (position: number, length: number) => void;
  /** Has a range written to the disk from now on, and does not wait for it. */
  readonly beginWriting?: (position: number, length: number) => void;
  /** Takes a range out of memory, as far as it is on the disk. */
  readonly dropCached?: (position: number, length: number) => void;
}

/** Files by their path. */
export interface FileTree {
  /**
   * @throws {Error} Node's, when it cannot be opened
   * @throws {ErrnoError} EINVAL when it is no regular file
   */
  openToRead(path: string): ReadableFile;
  /**
   * Opens a file for its only writer.
   *
   * @throws {Error} Node's, when it cannot be opened
   * @throws {ErrnoError} EINVAL when it is no regular file, EBUSY when somebody else writes it
   */
  openToChange(path: string): WritableFile;
  /** Opens a file for its only writer and empties it, or makes it. Throws as openToChange() does. */
  create(path: string): WritableFile;
  /** Makes a file that nobody else has; what was there is removed. */
  createAnew(path: string): WritableFile;
  rename(from: string, to: string): void;
  remove(path: string): void;
  /** Bytes that may still be written in the file system that holds a path. */
  freeBytes(path: string): number;
}

/** Does something with a range of an open file, by its descriptor. */
type RangeCall = (fd: number, position: number, length: number) => void;

/** System calls that node:fs does not have; files do without those that are not given. */
export interface FileCalls {
  /** Gives space back, as fallocate(2) with FALLOC_FL_PUNCH_HOLE does; else files keep it until they are finished. */
  readonly punchHole?: RangeCall;
  /** As sync_file_range(2) with SYNC_FILE_RANGE_WRITE. */
  readonly beginWriting?: RangeCall;
  /** As posix_fadvise(2) with POSIX_FADV_DONTNEED. */
  readonly dropCached?: RangeCall;
  /** Takes a lock that belongs to the open file; false when another open file has it. */
  readonly claim?: (fd: number) => boolean;
}

class NodeFile implements WritableFile {
  readonly #fd: number;
  readonly punchHole?: (position: number, length: number) => void;
  readonly beginWriting?: (position: number, length: number) => void;
  readonly dropCached?: (position: number, length: number) => void;

  constructor(fd: number, { punchHole, beginWriting, dropCached }: FileCalls = {}) {
    this.#fd = fd;
    if (punchHole !== undefined) this.punchHole = (position, length) => punchHole(fd, position, length);
    if (beginWriting !== undefined)
      this.beginWriting = (position, length) => beginWriting(fd, position, length);
    if (dropCached !== undefined) this.dropCached = (position, length) => dropCached(fd, position, length);
  }

  size(): number {
    return fstatSync(this.#fd).size;
  }

  read(position: number, target: Uint8Array): number {
    let done = 0;
    while (done < target.length) {
      const count = readSync(this.#fd, target, done, target.length - done, position + done);
      if (count === 0) break;
      done += count;
    }
    return done;
  }

  write(position: number, bytes: Uint8Array): void {
    let done = 0;
    // A write is short when the disk fills up; the following one then tells why.
    while (done < bytes.length) {
      done += writeSync(this.#fd, bytes, done, bytes.length - done, position + done);
    }
  }

  truncate(size: number): void {
    ftruncateSync(this.#fd, size);
  }

  close(): void {
    closeSync(this.#fd);
  }
}

/**
 * The files of this machine.
 *
 * @param calls what they can do besides
 */
export function nodeFiles(calls: FileCalls = {}): FileTree {
  return {
    openToRead: (path) => new NodeFile(regular(path, constants.O_RDONLY)),
    openToChange: (path) => new NodeFile(claimed(path, constants.O_RDWR, calls), calls),
    create: (path) => {
      // Emptied only when it is ours: another recorder may be writing it.
      const file = new NodeFile(claimed(path, constants.O_RDWR | constants.O_CREAT, calls), calls);
      file.truncate(0);
      return file;
    },
    createAnew: (path) => {
      rmSync(path, { force: true });
      // Exclusive, so that a symbolic link that somebody puts there leads nowhere.
      return new NodeFile(openSync(path, 'wx+', PRIVATE), calls);
    },
    rename: renameSync,
    remove: (path) => rmSync(path, { force: true }),
    freeBytes: (path) => {
      const { bavail, bsize } = statfsSync(dirname(path));
      return bavail * bsize;
    },
  };
}

/** Opens a regular file; anything else has no positions. */
function regular(path: string, flags: number): number {
  // Without O_NONBLOCK a named pipe would wait for its other end.
  const fd = openSync(path, flags | constants.O_NONBLOCK, PRIVATE);
  if (fstatSync(fd).isFile()) return fd;
  closeSync(fd);
  throw new ErrnoError('EINVAL', `Cannot use ${path}: it is not a regular file`);
}

function claimed(path: string, flags: number, { claim }: FileCalls): number {
  const fd = regular(path, flags);
  if (claim?.(fd) !== false) return fd;
  closeSync(fd);
  throw new ErrnoError('EBUSY', `Cannot write ${path}: another program is recording into it`);
}
