/**
 * This thread's events at user_events: the kernel's own, or a server that plays it (`usertrace serve`, `usertrace run`). The
 * same word that user-space sessions count in has bit 31 for it (Documentation/trace/user_events.rst).
 *
 * The file can be absent, appear late or go away at any time. It is looked for at the first event, and again when a server
 * announces itself, with later events, and at the earliest each 4.3 s while events are emitted. Whatever it answers, the
 * program runs on; a stopped server makes a program wait only where it writes to it, as the kernel's would.
 */
import {
  DIAG_IOCSREG,
  DIAG_IOCSUNREG,
  KERNEL_ENABLE_BIT,
  USER_REG_SIZE,
  USER_REG_WRITE_INDEX_OFFSET,
  USER_UNREG_SIZE,
} from '@usertrace/abi';
import { ERRNO } from '@usertrace/base';
import { addressOf, ioctlDescriptor, writeDescriptor } from '@usertrace/linux';
import { closeSync, constants, existsSync, fstatSync, openSync, type Stats } from 'node:fs';
import { join } from 'node:path';
import type { ProviderMemory } from './provider-memory.ts';

/** The kernel's tracefs, where it is mounted (Documentation/trace/ftrace.rst). */
const KERNEL_FOLDERS = ['/sys/kernel/tracing', '/sys/kernel/debug/tracing'] as const;
/** The file to which programs write. */
export const USER_EVENTS_FILE = 'user_events_data';
const ENABLE_SIZE = 4;
/** An event that the file did not take: another has its name and other fields, or a limit is reached. */
const NOT_TAKEN = -1;
/** Events declared one after the other look for a file once in so long, when there was none. */
const LOOK_INTERVAL_MS = 1000;

/** Answers that say that nobody is behind the file any more. */
const GONE: ReadonlySet<number> = new Set([ERRNO.ENOTCONN, ERRNO.EIO, ERRNO.ENODEV, ERRNO.ECONNABORTED]);

/** The folders in which a user_events file may be, the one that is tried first at the front. */
export function kernelFolders(uid: number, environment: NodeJS.ProcessEnv): string[] {
  const named = environment['USERTRACE_MOUNT'];
  if (named) return [named];
  const ofSession = environment['XDG_RUNTIME_DIR'];
  const ofUser = ofSession ? join(ofSession, 'usertrace/tracing') : `/tmp/usertrace-${uid}/tracing`;
  return [...KERNEL_FOLDERS, uid === 0 ? '/run/usertrace/tracing' : ofUser];
}

/**
 * Opens the user_events file of a folder.
 *
 * @returns undefined when there is none that this program may write to
 */
export function openUserEvents(folder: string): number | undefined {
  const path = join(folder, USER_EVENTS_FILE);
  try {
    // Asked first, because a thrown error costs more than all the rest.
    if (!existsSync(path)) return undefined;
    const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK | constants.O_NOFOLLOW);
    if (fstatSync(fd).isFile()) return fd;
    closeSync(fd);
  } catch {
    // Not ours to open, or its server has just gone: as good as absent.
  }
  return undefined;
}

/** Takes the kernel's bit of a word out of its books, before the word's memory is given away. */
export function unregisterWord(fd: number, address: number): void {
  const request = Buffer.alloc(USER_UNREG_SIZE);
  request.writeUInt32LE(USER_UNREG_SIZE, 0);
  request.writeUInt8(KERNEL_ENABLE_BIT, 4);
  request.writeBigUInt64LE(BigInt(address), 8);
  ioctlDescriptor(fd, DIAG_IOCSUNREG, request);
}

export class KernelEvents {
  readonly #memory: ProviderMemory;
  readonly #folders: readonly string[];
  readonly #commands: string[] = [];
  readonly #writeIndexes: number[] = [];
  #fd: number | undefined = undefined;
  #file: Stats | undefined = undefined;
  #heardAnnouncements = 0;
  #lookedAtMs = -LOOK_INTERVAL_MS;

  constructor(memory: ProviderMemory, folders: readonly string[]) {
    this.#memory = memory;
    this.#folders = folders;
  }

  /** Registers an event: the one with the following index. */
  add(command: string): void {
    this.#commands.push(command);
    if (this.#fd !== undefined) this.#register(this.#commands.length - 1);
    else if (performance.now() - this.#lookedAtMs >= LOOK_INTERVAL_MS) this.look();
  }

  /** Looks for a file, unless there is one. */
  look(): void {
    if (this.#fd !== undefined && !this.#isClosed()) return;
    this.#lookedAtMs = performance.now();
    const { folder } = this.#memory.announcement();
    for (const candidate of folder === undefined ? this.#folders : [folder, ...this.#folders]) {
      const fd = openUserEvents(candidate);
      if (fd === undefined) continue;
      this.#fd = fd;
      this.#file = fstatSync(fd);
      this.#registerAll();
      if (this.#fd !== undefined) return;
    }
  }

  /** Follows a server that has announced itself since the last call: its folder is looked at before all others. */
  heed(): void {
    const { count } = this.#memory.announcement();
    if (count === this.#heardAnnouncements) return;
    this.#heardAnnouncements = count;
    this.#disconnect();
    this.look();
  }

  /**
   * Writes an event.
   *
   * @param index its index
   * @param record the payload, four bytes before it for the write index
   */
  write(index: number, record: Uint8Array): void {
    const writeIndex = this.#writeIndexes[index] ?? NOT_TAKEN;
    // A bit that nobody has set whom we know: it would cost as much with each event.
    if (this.#fd === undefined) this.#clearBits();
    if (this.#fd === undefined || writeIndex === NOT_TAKEN) return;
    new DataView(record.buffer, record.byteOffset).setUint32(0, writeIndex, true);
    // EBADF says that nobody listens any more, and a full or slow reader is not the program's business either.
    const answer = writeDescriptor(this.#fd, addressOf(record), record.length);
    if (GONE.has(-answer)) this.#disconnect();
  }

  #registerAll(): void {
    this.#writeIndexes.length = 0;
    for (let index = 0; index < this.#commands.length && this.#fd !== undefined; index++)
      this.#register(index);
  }

  #register(index: number): void {
    const text = Buffer.from(`${this.#commands[index]}\0`, 'latin1');
    const request = Buffer.alloc(USER_REG_SIZE);
    request.writeUInt32LE(USER_REG_SIZE, 0);
    request.writeUInt8(KERNEL_ENABLE_BIT, 4);
    request.writeUInt8(ENABLE_SIZE, 5);
    request.writeBigUInt64LE(BigInt(this.#memory.wordAddress(index)), 8);
    request.writeBigUInt64LE(BigInt(addressOf(text)), 16);
    this.#memory.setKernelEvents(index + 1);
    const answer = ioctlDescriptor(this.#fd as number, DIAG_IOCSREG, request);
    // The text has to be reachable until here, for its address is all that the request has of it.
    this.#writeIndexes[index] =
      answer < 0 || text.length === 0 ? NOT_TAKEN : request.readUInt32LE(USER_REG_WRITE_INDEX_OFFSET);
    if (GONE.has(-answer)) this.#disconnect();
  }

  /** Nobody is there any more who would clear the bits. */
  #disconnect(): void {
    if (this.#fd === undefined) return;
    if (this.#isClosed()) return;
    closeSync(this.#fd);
    this.#fd = undefined;
    this.#clearBits();
  }

  /** Whether the program has closed the descriptor, whose number may be that of a file of its own now: then forgets it. */
  #isClosed(): boolean {
    try {
      const { dev, ino } = fstatSync(this.#fd as number);
      if (dev === this.#file?.dev && ino === this.#file.ino) return false;
    } catch (error) {
      // A server that is gone answers with an error of its own.
      if ((error as NodeJS.ErrnoException).code !== 'EBADF') return false;
    }
    this.#fd = undefined;
    this.#clearBits();
    return true;
  }

  #clearBits(): void {
    this.#memory.clearByte(KERNEL_ENABLE_BIT >> 3);
  }
}
