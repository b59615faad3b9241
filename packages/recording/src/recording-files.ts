/** The files that recordings write: trace.dat files of this machine. */
import { type FileTree, nodeFiles, RecordingFile } from '@usertrace/formats';
import { libc, tryLockByte } from '@usertrace/linux';
import { randomBytes } from 'node:crypto';
import { arch, hostname, release } from 'node:os';

/** FALLOC_FL_KEEP_SIZE and FALLOC_FL_PUNCH_HOLE (fallocate(2)). */
const PUNCH_HOLE = 3;
/** SYNC_FILE_RANGE_WRITE (sync_file_range(2)). */
const BEGIN_WRITING = 2;
/** POSIX_FADV_DONTNEED (posix_fadvise(2)). */
const DROP_CACHED = 4;
/** The byte of a recording whose lock its writer holds: behind all that a file may hold. */
const WRITER_LOCK = 2 ** 62;

/**
 * The files of this machine: they have one writer at a time, give back the space that a window has passed, and reach
 * the disk while they are written. Where a file system cannot do the last two it keeps more; that is all there is to say.
 */
export function recordingFiles(): FileTree {
  return nodeFiles({
    punchHole: (fd, position, length) => void libc().fallocate(fd, PUNCH_HOLE, position, length),
    beginWriting: (fd, position, length) => void libc().sync_file_range(fd, position, length, BEGIN_WRITING),
    dropCached: (fd, position, length) => void libc().posix_fadvise(fd, position, length, DROP_CACHED),
    claim: (fd) => {
      try {
        return tryLockByte(fd, WRITER_LOCK);
      } catch {
        // A file system without locks.
        return true;
      }
    },
  });
}

/** A thread's name as trace.dat has it: one byte a character. */
export function commText(comm: string): string {
  return Buffer.from(comm).toString('latin1');
}

/** Starts a recording's file. */
export function createFile(path: string, version: string, windowSize?: number): RecordingFile {
  return RecordingFile.create(
    path,
    {
      uname: `Linux ${hostname()} ${release()} ${arch() === 'x64' ? 'x86_64' : arch()}`,
      version: `usertrace ${version}`,
      traceId: randomBytes(8).readBigUInt64LE(),
      ...(windowSize === undefined ? {} : { windowSize }),
    },
    recordingFiles(),
  );
}
