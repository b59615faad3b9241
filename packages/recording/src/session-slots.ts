/** The slots of a provider's sessions: where they are, what they hold, and how they are read and written. */
import {
  LANE_MODE,
  PROVIDER_EVENTS_MAX,
  PROVIDER_LOCK,
  PROVIDER_OFFSET,
  SESSION,
  SESSION_PATTERNS_MAX,
  SESSION_SLOT_SIZE,
  SESSION_STATE,
  SESSIONS_MAX,
  STANDING_SESSION,
} from '@usertrace/abi';
import { assert, ErrnoError } from '@usertrace/base';
import { isByteLocked } from '@usertrace/linux';
import { printableText } from './printable-text.ts';
import type { ProviderFile } from './provider-file.ts';

/** Bytes of a session's `wanted`. */
export const WANTED_SIZE: number = PROVIDER_EVENTS_MAX / 8;

/** A session as its slot says. */
export interface SessionSlot {
  /** Its number; STANDING_SESSION is the one without a tracer. */
  readonly slot: number;
  readonly mode: 'overwrite' | 'discard';
  /** The tracer's process, as it calls itself. */
  readonly tracerPid: number;
  readonly patterns: readonly string[];
  /** CLOCK_MONOTONIC nanoseconds. */
  readonly startedAt: number;
  /** A bit for each event. */
  readonly wanted: Uint8Array;
}

/** What a slot is to hold. */
export type SlotContent = Omit<SessionSlot, 'slot'> & {
  /** The first page of the lane that it has not read. */
  readonly unreadPage: number;
};

/** The byte whose lock the tracer of a session holds. */
export function sessionLock(slot: number): number {
  return PROVIDER_LOCK.firstSession + slot;
}

/** Where a session's slot is in the file. */
export function slotOffset(slot: number): number {
  return PROVIDER_OFFSET.sessions + slot * SESSION_SLOT_SIZE;
}

/** Whether a session wants an event. */
export function isWanted(wanted: Uint8Array, event: number): boolean {
  return (((wanted[event >> 3] as number) >> (event & 7)) & 1) === 1;
}

/** Puts an event into a session's `wanted`, or takes it out. */
export function setWanted(wanted: Uint8Array, event: number, isOn: boolean): void {
  const bit = 1 << (event & 7);
  const byte = wanted[event >> 3] as number;
  wanted[event >> 3] = isOn ? byte | bit : byte & ~bit;
}

/**
 * The sessions of a provider, those of dead tracers included.
 *
 * @param file the provider's
 * @throws {ErrnoError} when it cannot be read
 */
export function readSessions(file: ProviderFile): SessionSlot[] {
  const slots = file.sessionSlots();
  const sessions: SessionSlot[] = [];
  for (let slot = 0; slot < SESSIONS_MAX; slot++) {
    const bytes = slots.subarray(slot * SESSION_SLOT_SIZE, (slot + 1) * SESSION_SLOT_SIZE);
    if (bytes.readUInt32LE(SESSION.state) === SESSION_STATE.active) sessions.push(decodeSlot(slot, bytes));
  }
  return sessions;
}

/** Whether the tracer of a session lives. Nobody's own session may be asked for: a lock does not see its holder. */
export function isTracerAlive(file: ProviderFile, slot: number): boolean {
  return slot === STANDING_SESSION || isByteLocked(file.fd, sessionLock(slot));
}

/**
 * Fills a slot. The control lock is held.
 *
 * @throws {ErrnoError} E2BIG or EINVAL for patterns that a slot cannot hold
 */
export function storeSlot(file: ProviderFile, slot: number, content: SlotContent): void {
  const bytes = encodeSlot(content);
  file.write(bytes.subarray(4), slotOffset(slot) + 4);
  // The state last: a tracer that dies before has not begun.
  file.write(bytes.subarray(0, 4), slotOffset(slot));
}

/** Frees a slot. The control lock is held. */
export function clearSlot(file: ProviderFile, slot: number): void {
  file.write(Buffer.alloc(4), slotOffset(slot));
}

function decodeSlot(slot: number, bytes: Buffer): SessionSlot {
  const length = Math.min(bytes.readUInt32LE(SESSION.patternsLength), SESSION_PATTERNS_MAX);
  const patterns = bytes.toString('utf8', SESSION.patterns, SESSION.patterns + length);
  return {
    slot,
    mode: bytes.readUInt32LE(SESSION.mode) === LANE_MODE.discard ? 'discard' : 'overwrite',
    tracerPid: bytes.readInt32LE(SESSION.pid),
    patterns: patterns
      .split('\n')
      .filter((pattern) => pattern !== '')
      .map((pattern) => printableText(Buffer.from(pattern))),
    startedAt: bytes.readDoubleLE(SESSION.startedAt),
    wanted: Uint8Array.from(bytes.subarray(SESSION.wanted, SESSION.wanted + WANTED_SIZE)),
  };
}

function encodeSlot({ mode, tracerPid, patterns, startedAt, wanted, unreadPage }: SlotContent): Buffer {
  assert(wanted.length === WANTED_SIZE, 'a session has a bit for each event');
  const text = encodePatterns(patterns);
  const bytes = Buffer.alloc(SESSION_SLOT_SIZE);
  bytes.writeUInt32LE(SESSION_STATE.active, SESSION.state);
  bytes.writeUInt32LE(LANE_MODE[mode], SESSION.mode);
  bytes.writeInt32LE(tracerPid, SESSION.pid);
  bytes.writeUInt32LE(text.length, SESSION.patternsLength);
  bytes.writeDoubleLE(startedAt, SESSION.startedAt);
  bytes.writeDoubleLE(unreadPage, SESSION.unreadPage);
  bytes.set(wanted, SESSION.wanted);
  bytes.set(text, SESSION.patterns);
  return bytes;
}

/** Patterns as a slot holds them: E2BIG when they are too long for it, EINVAL when one has a newline. */
function encodePatterns(patterns: readonly string[]): Buffer {
  if (patterns.some((pattern) => pattern.includes('\n'))) {
    throw new ErrnoError('EINVAL', 'Cannot take a pattern with a newline in it: no event has such a name');
  }
  const text = Buffer.from(patterns.map((pattern) => `${pattern}\n`).join(''));
  if (text.length > SESSION_PATTERNS_MAX) {
    throw new ErrnoError(
      'E2BIG',
      `Cannot take patterns of ${text.length} bytes: a session holds ${SESSION_PATTERNS_MAX}; use fewer, with * in them`,
    );
  }
  return text;
}
