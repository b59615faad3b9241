/**
 * What threads that have ended left behind: provider files, and in this process their mapped memory. Files of threads that were
 * killed or crashed stay for `usertrace recover`, up to LEFTOVERS_MAX of a user and a part of their file system, the
 * oldest go first. Those that hold no event go at once.
 *
 * A worker's memory stays mapped when it ends, because nobody can tell the moment after which its code runs no more. But its
 * lock is free from then on: so a later provider of the same process takes the memory away. Before, the words are
 * unregistered from the kernel, which would otherwise write to whatever is mapped there next.
 */
import {
  laneSize,
  LANE_PAGES_MAX,
  PROVIDER_EVENTS_MAX,
  PROVIDER_HEADER,
  PROVIDER_LOCK,
  PROVIDER_MAGIC,
  PROVIDER_MAPPED_SIZE,
  PROVIDER_OFFSET,
} from '@usertrace/abi';
import {
  isByteLocked,
  isProcessRunning,
  parseProviderFileName,
  tryLockByte,
  unmapShared,
} from '@usertrace/linux';
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  statfsSync,
  unlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import { openUserEvents, unregisterWord, USER_EVENTS_FILE } from './kernel-events.ts';

/** The most provider files of ended threads that a user's folder keeps. */
export const LEFTOVERS_MAX = 64;
/** The part of their file system that they may take: a container's /dev/shm has 64 MiB, and others need it as well. */
const LEFTOVERS_SHARE = 1 / 4;
/** The most files that one sweep looks into. */
const LOOKED_AT_MAX = 256;
/** What fstat counts a file's blocks in (stat(3type)). */
const BLOCK_SIZE = 512;

/** What this process is, for telling its own files from those of others. */
export interface SweepSettings {
  readonly folder: string;
  readonly ownPath: string;
  readonly startTicks: number;
  readonly kernelFolders: readonly string[];
}

/** Takes away what is left of this process's ended threads, and of others' when there are too many. Throws nothing. */
export function sweepLeftovers(settings: SweepSettings): void {
  const names = providerNames(settings.folder);
  for (const name of names) {
    if (parseProviderFileName(name)?.pid !== process.pid) continue;
    const path = join(settings.folder, name);
    if (path !== settings.ownPath) withEnded(path, (fd, header) => takeSibling(path, fd, header, settings));
  }
  quietly(() => sweepEnded(settings.folder, settings.ownPath));
}

/**
 * How many provider files this thread has: programs that load their modules anew in a `vm` context, as some test runners
 * do, have one for each context.
 */
export function providersOfThread(folder: string, tid: number): number {
  const own = providerNames(folder).filter((name) => name.startsWith(`${process.pid}-${tid}-`));
  return own.filter((name) => !withEnded(join(folder, name), () => {})).length;
}

function sweepEnded(folder: string, ownPath: string): void {
  const { blocks, bsize } = statfsSync(folder);
  const bytesMax = blocks * bsize * LEFTOVERS_SHARE;
  const ended: { readonly path: string; readonly bytes: number }[] = [];
  // Names end in the time of their making, in hexadecimal digits of nanoseconds.
  const byAge = providerNames(folder).toSorted((a, b) => madeAt(a) - madeAt(b));
  for (const name of byAge.slice(0, LOOKED_AT_MAX)) {
    const path = join(folder, name);
    if (path === ownPath) continue;
    withEnded(path, (fd, header) => {
      // Threads of a program that runs have their memory mapped still: it finds it by their files.
      if (isOfRunningProgram(name, header)) return;
      if (header.readUInt32LE(PROVIDER_HEADER.pageCount) === 0) unlinkSync(path);
      else ended.push({ path, bytes: fstatSync(fd).blocks * BLOCK_SIZE });
    });
  }
  let bytes = ended.reduce((sum, file) => sum + file.bytes, 0);
  // The new one's place is kept free.
  let surplus = ended.length - (LEFTOVERS_MAX - 1);
  for (const file of ended) {
    if (surplus <= 0 && bytes <= bytesMax) return;
    unlinkSync(file.path);
    surplus -= 1;
    bytes -= file.bytes;
  }
}

/** Removes the files of this process's threads, for it ends in good order. Throws nothing. */
export function removeOwnFiles(folder: string, startTicks: number): void {
  for (const name of providerNames(folder)) {
    if (parseProviderFileName(name)?.pid !== process.pid) continue;
    const path = join(folder, name);
    quietly(() => {
      const fd = openFile(path);
      try {
        if (readHeader(fd)?.readDoubleLE(PROVIDER_HEADER.startTicks) === startTicks) unlinkSync(path);
      } finally {
        closeSync(fd);
      }
    });
  }
}

function isOfRunningProgram(name: string, header: Buffer): boolean {
  const pid = parseProviderFileName(name)?.pid;
  if (pid === undefined || pid === process.pid) return false;
  return isProcessRunning(pid, header.readDoubleLE(PROVIDER_HEADER.startTicks));
}

function providerNames(folder: string): string[] {
  try {
    return readdirSync(folder).filter((name) => parseProviderFileName(name) !== undefined);
  } catch {
    return [];
  }
}

function madeAt(name: string): number {
  return Number.parseInt(name.slice(name.lastIndexOf('-') + 1), 16);
}

/** Runs `then` with the file of a thread that has ended. Returns whether it had, and `then` went well. */
function withEnded(path: string, then: (fd: number, header: Buffer) => void): boolean {
  return quietly(() => {
    const fd = openFile(path);
    try {
      const header = readHeader(fd);
      // Without the magic it is still being made, or was never finished by somebody who was killed.
      if (header === undefined || isByteLocked(fd, PROVIDER_LOCK.provider)) return false;
      then(fd, header);
      return true;
    } finally {
      closeSync(fd);
    }
  });
}

function takeSibling(path: string, fd: number, header: Buffer, settings: SweepSettings): void {
  // A process of another namespace may have our id.
  if (header.readDoubleLE(PROVIDER_HEADER.startTicks) !== settings.startTicks) return;
  // Two threads that unmap the same addresses would take away what came there in between.
  if (!tryLockByte(fd, PROVIDER_LOCK.control)) return;
  const mappings = mappingsOf(path, fstatSync(fd).ino);
  const words = mappings.find(({ offset }) => offset === 0);
  if (words !== undefined && !unregisterWords(words.address, header, settings.kernelFolders)) return;
  for (const { address, size } of mappings) unmapShared(address, size);
  const isEmpty = header.readUInt32LE(PROVIDER_HEADER.pageCount) === 0;
  if (isEmpty || header.readUInt32LE(PROVIDER_HEADER.ended) === 1) unlinkSync(path);
}

/** Whether nobody will write to these words any more. */
function unregisterWords(address: number, header: Buffer, folders: readonly string[]): boolean {
  const count = Math.min(header.readUInt32LE(PROVIDER_HEADER.kernelEvents), PROVIDER_EVENTS_MAX);
  if (count === 0) return true;
  const length = header.readUInt32LE(PROVIDER_HEADER.kernelPathLength);
  const announced = header.toString('utf8', PROVIDER_HEADER.kernelPath, PROVIDER_HEADER.kernelPath + length);
  let isHeard = false;
  for (const folder of announced.startsWith('/') ? [announced, ...folders] : folders) {
    const file = openUserEvents(folder);
    if (file === undefined) continue;
    for (let index = 0; index < count; index++) {
      unregisterWord(file, address + PROVIDER_OFFSET.words + index * 4);
    }
    closeSync(file);
    isHeard = true;
  }
  return isHeard || folders.every((folder) => !existsSync(join(folder, USER_EVENTS_FILE)));
}

interface Mapping {
  readonly address: number;
  readonly size: number;
  readonly offset: number;
}

/** Where a provider file is mapped in this process (proc_pid_maps(5)). */
function mappingsOf(path: string, inode: number): Mapping[] {
  const mappings: Mapping[] = [];
  for (const line of readFileSync('/proc/self/maps', 'utf8').split('\n')) {
    if (!line.endsWith(path)) continue;
    const [, start, end, offset, ino, mapped] =
      /^([0-9a-f]+)-([0-9a-f]+) \S+ ([0-9a-f]+) \S+ (\d+) +(.*)$/.exec(line) ?? [];
    if (mapped !== path || Number(ino) !== inode) continue;
    const address = Number.parseInt(start as string, 16);
    const size = Number.parseInt(end as string, 16) - address;
    const at = Number.parseInt(offset as string, 16);
    const isOurs = at === 0 ? size === PROVIDER_MAPPED_SIZE : at === PROVIDER_OFFSET.lane;
    if (isOurs && size <= laneSize(LANE_PAGES_MAX)) mappings.push({ address, size, offset: at });
  }
  return mappings;
}

function openFile(path: string): number {
  return openSync(path, constants.O_RDWR | constants.O_NOFOLLOW | constants.O_NONBLOCK);
}

function readHeader(fd: number): Buffer | undefined {
  const header = Buffer.alloc(PROVIDER_OFFSET.words);
  if (!fstatSync(fd).isFile() || readSync(fd, header, 0, header.length, 0) < header.length) return undefined;
  return header.toString('latin1', 0, PROVIDER_MAGIC.length) === PROVIDER_MAGIC ? header : undefined;
}

/** Clearing up never disturbs the program: what fails is left for the next one. */
function quietly(work: () => boolean | void): boolean {
  try {
    return work() !== false;
  } catch {
    return false;
  }
}
