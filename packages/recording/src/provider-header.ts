/**
 * The header of a provider file (abi/provider/layout.ts): what it says, and what of that may be believed. Some bug, or
 * somebody who means harm, may have written it.
 */
import {
  EVENT_TABLE_SIZE,
  LANE_PAGES_MAX,
  LANE_PAGES_MIN,
  PROVIDER_EVENTS_MAX,
  PROVIDER_HEADER,
  PROVIDER_MAGIC,
  PROVIDER_VERSION,
} from '@usertrace/abi';
import { parseProviderFileName } from '@usertrace/linux';
import { basename } from 'node:path';
import { refusal } from './provider-refusal.ts';
import { commOf, isTask } from './thread-names.ts';

/** Bytes of the header that say something, up to kernelPath. */
export const PROVIDER_HEADER_SIZE: number = PROVIDER_HEADER.kernelPath;

/** What a provider file's header says. */
export interface ProviderHeader {
  readonly pid: number;
  /** 0 in a prober's file, whose lane has records of all threads. */
  readonly tid: number;
  readonly eventCount: number;
  readonly eventTableLength: number;
  /** 0 while there is no lane. */
  readonly pageCount: number;
  /** CLOCK_MONOTONIC nanoseconds. */
  readonly createdAt: number;
  /** The process's start, in clock ticks since boot. */
  readonly startTicks: number;
  /** The command name of the thread. */
  readonly comm: string;
  readonly sessionChanges: number;
  /** Whether the thread ended in good order, so that nobody needs what it left. */
  readonly hasEnded: boolean;
  /** Changes whenever a thread's name was stored; 0 in a thread's own file. */
  readonly threadNameChanges: number;
  /** Of a prober's file: the nearest process with such a file that the process descends from; 0 when none is known. */
  readonly ancestorPid: number;
}

/**
 * Reads a header.
 *
 * @param bytes PROVIDER_HEADER_SIZE of them
 * @param path the file's; its name says whether it may be a prober's
 * @throws {ErrnoError} EPROTO when it is no provider file, one of another version, or says what cannot be; EAGAIN while
 *   it is still being made
 */
export function decodeHeader(bytes: Buffer, path: string): ProviderHeader {
  const magic = bytes.toString('latin1', PROVIDER_HEADER.magic, PROVIDER_MAGIC.length);
  if (magic === '\0'.repeat(PROVIDER_MAGIC.length)) {
    throw refusal('EAGAIN', path, 'it is still being made; try again');
  }
  if (magic !== PROVIDER_MAGIC) throw refusal('EPROTO', path, 'it does not begin as one');
  const version = bytes.readUInt32LE(PROVIDER_HEADER.version);
  if (version !== PROVIDER_VERSION) {
    const advice = 'use the usertrace that came with the program';
    throw refusal(
      'EPROTO',
      path,
      `it has version ${version}, and this is for ${PROVIDER_VERSION}; ${advice}`,
    );
  }
  const header: ProviderHeader = {
    pid: bytes.readInt32LE(PROVIDER_HEADER.pid),
    tid: bytes.readInt32LE(PROVIDER_HEADER.tid),
    eventCount: bytes.readUInt32LE(PROVIDER_HEADER.eventCount),
    eventTableLength: bytes.readUInt32LE(PROVIDER_HEADER.eventTableLength),
    pageCount: bytes.readUInt32LE(PROVIDER_HEADER.pageCount),
    createdAt: bytes.readDoubleLE(PROVIDER_HEADER.createdAt),
    startTicks: bytes.readDoubleLE(PROVIDER_HEADER.startTicks),
    comm: commOf(bytes, PROVIDER_HEADER.comm),
    sessionChanges: bytes.readUInt32LE(PROVIDER_HEADER.sessionChanges),
    hasEnded: bytes.readUInt32LE(PROVIDER_HEADER.ended) === 1,
    threadNameChanges: bytes.readUInt32LE(PROVIDER_HEADER.threadNameChanges),
    ancestorPid: bytes.readInt32LE(PROVIDER_HEADER.ancestorPid),
  };
  requirePossible(header, path);
  return header;
}

/**
 * Refuses the header of a file that has become another's since it was opened.
 *
 * @param header as it is now
 * @param before as it was
 * @throws {ErrnoError} EPROTO when what never changes has changed
 */
export function requireSameProvider(header: ProviderHeader, before: ProviderHeader, path: string): void {
  if (before.pid !== header.pid || before.tid !== header.tid || before.createdAt !== header.createdAt) {
    throw refusal('EPROTO', path, 'it has become that of another thread');
  }
  if (before.pageCount !== 0 && before.pageCount !== header.pageCount) {
    throw refusal('EPROTO', path, `its pages went from ${before.pageCount} to ${header.pageCount}`);
  }
}

function requirePossible(header: ProviderHeader, path: string): void {
  const { pid, tid, eventCount, eventTableLength, pageCount, createdAt, startTicks } = header;
  const isProbers = tid === 0 && parseProviderFileName(basename(path))?.tid === 0;
  if (!isTask(pid) || !(isTask(tid) || isProbers))
    throw refusal('EPROTO', path, `it is of process ${pid}, thread ${tid}`);
  if (eventCount > PROVIDER_EVENTS_MAX || eventTableLength > EVENT_TABLE_SIZE) {
    throw refusal('EPROTO', path, `it says ${eventCount} events in ${eventTableLength} bytes`);
  }
  if (pageCount !== 0 && (pageCount < LANE_PAGES_MIN || pageCount > LANE_PAGES_MAX)) {
    throw refusal('EPROTO', path, `it says ${pageCount} pages`);
  }
  if (!isTime(createdAt) || !isTime(startTicks))
    throw refusal('EPROTO', path, 'it says no time of its making');
}

/** Whether a float64 can be a time since boot: not what is no number, or has no end. */
function isTime(value: number): boolean {
  return value >= 0 && value <= Number.MAX_SAFE_INTEGER;
}
