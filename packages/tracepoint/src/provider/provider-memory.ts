/**
 * The provider file of this thread, as the thread itself has it: mapped memory for the header, the enable words and the
 * sessions, and a descriptor that holds the provider's lock for as long as the thread lives. abi/provider/layout.ts says
 * what lies where. A worker's descriptors are closed by Node when it ends (worker_threads, trackUnmanagedFds), which frees
 * the lock; its memory stays mapped until a sibling takes it away (leftovers.ts).
 *
 * A program may close descriptors that it does not know (some do when they become daemons), and then open files of its own
 * that get the numbers. So a descriptor is asked which file it is before it is used, and one that was lost is opened anew.
 */
import {
  ATTENTION_BYTE,
  encodeEventEntry,
  EVENT_TABLE_SIZE,
  laneSize,
  PROVIDER_EVENTS_MAX,
  PROVIDER_HEADER,
  PROVIDER_LOCK,
  PROVIDER_MAGIC,
  PROVIDER_MAPPED_SIZE,
  PROVIDER_OFFSET,
  PROVIDER_VERSION,
} from '@usertrace/abi';
import {
  mapShared,
  providerFileName,
  type SharedMapping,
  startTicksOf,
  tryLockByte,
  unlockByte,
} from '@usertrace/linux';
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readFileSync,
  readlinkSync,
  type Stats,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';

const COMM_SIZE = 16;

/** This thread, in numbers of the process's own namespace. */
export function ownThread(): number {
  // The kernel says PID/task/TID.
  return Number(readlinkSync('/proc/thread-self').split('/').at(-1));
}

/**
 * The file once more, through an open file of its own: a mapping keeps its open file, and would keep the lock of a thread
 * that has ended.
 */
function openApart(fd: number): number {
  return openSync(`/proc/self/fd/${fd}`, constants.O_RDWR);
}

export class ProviderMemory {
  readonly path: string;
  readonly tid: number;
  readonly startTicks: number;
  readonly memory: ArrayBuffer;
  readonly #address: number;
  readonly #file: Stats;
  #fd: number;
  /** For mapping the lane. Opened with the file, because a program that has changed its user may not do so later. */
  #apart: number | undefined;
  readonly #numbers: Uint32Array;
  readonly #bytes: Uint8Array;
  #eventCount = 0;
  #tableLength = 0;

  private constructor(path: string, fd: number, apart: number, tid: number, mapping: SharedMapping) {
    this.path = path;
    this.#fd = fd;
    this.#apart = apart;
    this.#file = fstatSync(fd);
    this.tid = tid;
    this.startTicks = startTicksOf('self');
    this.memory = mapping.memory;
    this.#address = mapping.address;
    this.#numbers = new Uint32Array(mapping.memory);
    this.#bytes = new Uint8Array(mapping.memory);
    this.#writeHeader();
  }

  /**
   * Makes this thread's provider file.
   *
   * @param folder the runtime folder
   * @param tid this thread
   * @throws {Error} when the file cannot be made, or the file system has no room or no locks
   */
  static create(folder: string, tid: number): ProviderMemory {
    const path = join(folder, providerFileName(process.pid, tid, process.hrtime.bigint()));
    const { O_CREAT, O_EXCL, O_NOFOLLOW, O_RDWR } = constants;
    const fd = openSync(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
    let apart: number | undefined;
    try {
      if (!tryLockByte(fd, PROVIDER_LOCK.provider)) throw new Error(`Cannot lock ${path}: somebody else has`);
      apart = openApart(fd);
      return new ProviderMemory(path, fd, apart, tid, mapShared(apart, 0, PROVIDER_MAPPED_SIZE));
    } catch (error) {
      unlinkSync(path);
      if (apart !== undefined) closeSync(apart);
      closeSync(fd);
      throw error;
    }
  }

  /**
   * The descriptor that holds the provider's lock. Costs a system call, or some when the program has closed it.
   *
   * @throws {Error} when it was closed and the file cannot be opened any more
   */
  get fd(): number {
    if (!this.#isOurs(this.#fd)) this.#fd = this.#reopen();
    return this.#fd;
  }

  get eventCount(): number {
    return this.#eventCount;
  }

  /** The enable word of an event, alone. */
  word(index: number): Int32Array {
    return new Int32Array(this.memory, PROVIDER_OFFSET.words + index * 4, 1);
  }

  /** Where the enable word of an event is, in this program's memory. */
  wordAddress(index: number): number {
    return this.#address + PROVIDER_OFFSET.words + index * 4;
  }

  /**
   * Adds an event to the table.
   *
   * @returns its index; undefined when the table is full
   * @throws {Error} when the file system is full
   */
  appendEvent(command: string): number | undefined {
    const entry = encodeEventEntry('command', command);
    if (this.#eventCount >= PROVIDER_EVENTS_MAX) return undefined;
    if (this.#tableLength + entry.length > EVENT_TABLE_SIZE) return undefined;
    const written = writeSync(this.fd, entry, 0, entry.length, PROVIDER_OFFSET.events + this.#tableLength);
    if (written !== entry.length) throw new Error(`Cannot write to ${this.path}: its file system is full`);
    this.#tableLength += entry.length;
    this.#numbers[PROVIDER_HEADER.eventTableLength / 4] = this.#tableLength;
    this.#eventCount += 1;
    this.#numbers[PROVIDER_HEADER.eventCount / 4] = this.#eventCount;
    return this.#eventCount - 1;
  }

  /**
   * Maps the lane, which is all zero and not announced yet.
   *
   * @param pageCount its pages
   * @throws {ErrnoError} when there is no room
   */
  mapLane(pageCount: number): ArrayBuffer {
    if (this.#apart === undefined || !this.#isOurs(this.#apart)) this.#apart = openApart(this.fd);
    const { memory } = mapShared(this.#apart, PROVIDER_OFFSET.lane, laneSize(pageCount));
    closeSync(this.#apart);
    this.#apart = undefined;
    return memory;
  }

  /** Tells readers that the lane is there. */
  announceLane(pageCount: number): void {
    this.#numbers[PROVIDER_HEADER.pageCount / 4] = pageCount;
  }

  /** Who changes sessions and words holds this. */
  tryControl(): boolean {
    return tryLockByte(this.fd, PROVIDER_LOCK.control);
  }

  releaseControl(): void {
    const at = PROVIDER_HEADER.sessionChanges / 4;
    this.#numbers[at] = (this.#numbers[at] as number) + 1;
    unlockByte(this.fd, PROVIDER_LOCK.control);
  }

  /** Puts one byte of every word to zero: its owner is gone, or has been heard. */
  clearByte(byte: number): void {
    const first = PROVIDER_OFFSET.words + byte;
    for (let index = 0; index < this.#eventCount; index++) this.#bytes[first + index * 4] = 0;
  }

  /** The low byte of a word. */
  sessionCount(index: number): number {
    return this.#bytes[PROVIDER_OFFSET.words + index * 4] as number;
  }

  /** Stores the low byte of a word: how many sessions want the event. */
  setSessionCount(index: number, count: number): void {
    this.#bytes[PROVIDER_OFFSET.words + index * 4] = count;
  }

  /** What servers have announced: the count, and the folder of the last. */
  announcement(): { readonly count: number; readonly folder: string | undefined } {
    const count = this.#numbers[PROVIDER_HEADER.kernelAnnouncements / 4] as number;
    const length = this.#numbers[PROVIDER_HEADER.kernelPathLength / 4] as number;
    const start = PROVIDER_HEADER.kernelPath;
    if (length === 0 || start + length > PROVIDER_OFFSET.words) return { count, folder: undefined };
    const folder = Buffer.from(this.#bytes.subarray(start, start + length)).toString();
    return { count, folder: folder.startsWith('/') && !folder.includes('\0') ? folder : undefined };
  }

  /** Takes a server's request for attention out of all words, and what is in the byte that belongs to nobody. */
  clearAttention(): void {
    this.clearByte(ATTENTION_BYTE);
    this.clearByte(ATTENTION_BYTE + 1);
  }

  /** Notes that words up to this number of events may be registered with the kernel. */
  setKernelEvents(count: number): void {
    this.#numbers[PROVIDER_HEADER.kernelEvents / 4] = count;
  }

  /** Notes that this thread ends in good order. */
  setEnded(): void {
    this.#numbers[PROVIDER_HEADER.ended / 4] = 1;
  }

  #isOurs(fd: number): boolean {
    try {
      const { dev, ino } = fstatSync(fd);
      return ino === this.#file.ino && dev === this.#file.dev;
    } catch {
      return false;
    }
  }

  #reopen(): number {
    const fd = openSync(this.path, constants.O_RDWR | constants.O_NOFOLLOW);
    if (this.#isOurs(fd) && tryLockByte(fd, PROVIDER_LOCK.provider)) return fd;
    closeSync(fd);
    throw new Error(
      `Cannot use ${this.path} any more: its descriptor was closed, and it is another file now`,
    );
  }

  #writeHeader(): void {
    const numbers = this.#numbers;
    const doubles = new Float64Array(this.memory, 0, PROVIDER_OFFSET.words / 8);
    numbers[PROVIDER_HEADER.version / 4] = PROVIDER_VERSION;
    numbers[PROVIDER_HEADER.pid / 4] = process.pid;
    numbers[PROVIDER_HEADER.tid / 4] = this.tid;
    doubles[PROVIDER_HEADER.createdAt / 8] = Number(process.hrtime.bigint());
    doubles[PROVIDER_HEADER.startTicks / 8] = this.startTicks;
    const comm = readFileSync('/proc/thread-self/comm').subarray(0, COMM_SIZE - 1);
    this.#bytes.set(comm.subarray(0, comm.at(-1) === 0x0a ? -1 : comm.length), PROVIDER_HEADER.comm);
    // The magic last: a file without it is still being made.
    this.#bytes.set(Buffer.from(PROVIDER_MAGIC, 'latin1'), PROVIDER_HEADER.magic);
  }
}
