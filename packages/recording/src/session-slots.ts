/**
 * The sessions of a provider: reading their slots, and changing them and the enable words that follow from them.
 *
 * Whoever changes anything holds the control lock, for some microseconds, and takes away the sessions of tracers that
 * died before it does. A word's low byte is always counted anew from all slots and written as one byte, so a change
 * that was interrupted is made good by the following one, whoever makes it.
 */
import {
  LANE_MODE,
  PROVIDER_EVENTS_MAX,
  type ProviderEvent,
  PROVIDER_HEADER,
  PROVIDER_LOCK,
  PROVIDER_OFFSET,
  SESSION,
  SESSION_COUNT_MASK,
  SESSION_PATTERNS_MAX,
  SESSION_SLOT_SIZE,
  SESSION_STATE,
  SESSIONS_MAX,
  STANDING_SESSION,
} from '@usertrace/abi';
import { assert, ErrnoError, eventMatcher, PatternError } from '@usertrace/base';
import { isByteLocked, tryLockByte, unlockByte } from '@usertrace/linux';
import { type ProviderFile, textOf } from './provider-file.ts';

/** Bytes of a session's `wanted`. */
export const WANTED_SIZE: number = PROVIDER_EVENTS_MAX / 8;
/** How often it is looked whether the program declared events meanwhile: one that goes on does so hundreds of times. */
const REPEATS_MAX = 256;
/** How long a program that is adding an event is waited for, which takes microseconds, in milliseconds. */
const REPEAT_PATIENCE_MS = 2;

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

/** The sessions of a provider, for as long as the control lock is held. */
export interface SessionControl {
  /** Those that are there now; dead ones have been taken away. */
  readonly sessions: readonly SessionSlot[];
  /** A slot that nobody has, and whose lock is free; undefined when all are taken. */
  freeSlot(): number | undefined;
  /** Fills a slot. */
  store(slot: number, content: SlotContent): void;
  /** Frees a slot. */
  clear(slot: number): void;
}

/**
 * Changes sessions under the control lock, and brings the enable words to what they say.
 *
 * @param file the provider's, opened for change
 * @param own the slot of the session that is held through this descriptor, if there is one
 * @param change what is to be done
 * @returns how many of its events all sessions have been asked about; undefined when somebody else holds the lock now
 * @throws {ErrnoError} when the file cannot be read or written
 */
export function changeSessions(
  file: ProviderFile,
  own: number | undefined,
  change: (control: SessionControl) => void,
): number | undefined {
  // A program that declares an event while somebody else holds the lock leaves it to them to see it.
  let seen = file.events().length;
  for (let repeat = 0; repeat < REPEATS_MAX; repeat++) {
    if (!tryControl(file, repeat === 0 ? 0 : REPEAT_PATIENCE_MS)) return repeat === 0 ? undefined : seen;
    try {
      const before = snapshotOf(file);
      if (repeat === 0) {
        purgeDead(file, own);
        change(controlOf(file));
      }
      const events = file.events();
      adoptEvents(file, events.slice(seen));
      writeWords(file, events.length);
      seen = events.length;
      if (snapshotOf(file) !== before) countChange(file);
    } finally {
      unlockByte(file.fd, PROVIDER_LOCK.control);
    }
    if (file.header().eventCount === seen) break;
  }
  return seen;
}

function tryControl(file: ProviderFile, patienceMs: number): boolean {
  const deadline = performance.now() + patienceMs;
  while (!tryLockByte(file.fd, PROVIDER_LOCK.control)) if (performance.now() >= deadline) return false;
  return true;
}

/** Has all sessions want the events that their patterns mean. */
function adoptEvents(file: ProviderFile, events: readonly ProviderEvent[]): void {
  if (events.length === 0) return;
  for (const { slot, patterns, wanted } of readSessions(file)) {
    for (const { index, system, name } of events) {
      if (patterns.some((pattern) => isMeant(pattern, system, name))) setWanted(wanted, index, true);
    }
    file.write(wanted, slotOffset(slot) + SESSION.wanted);
  }
}

/** Whether a pattern that somebody else wrote means an event. */
function isMeant(pattern: string, system: string, name: string): boolean {
  try {
    return eventMatcher(pattern)(system, name);
  } catch (error) {
    if (error instanceof PatternError) return false;
    throw error;
  }
}

function controlOf(file: ProviderFile): SessionControl {
  return {
    get sessions() {
      return readSessions(file);
    },
    freeSlot: () => {
      const taken = new Set(readSessions(file).map(({ slot }) => slot));
      for (let slot = 0; slot < STANDING_SESSION; slot++) {
        // A tracer that is about to begin has the lock before the slot.
        if (!taken.has(slot) && !isByteLocked(file.fd, sessionLock(slot))) return slot;
      }
      return undefined;
    },
    store: (slot, content) => {
      const bytes = encodeSlot(content);
      file.write(bytes.subarray(4), slotOffset(slot) + 4);
      // The state last: a tracer that dies before has not begun.
      file.write(bytes.subarray(0, 4), slotOffset(slot));
    },
    clear: (slot) => file.write(Buffer.alloc(4), slotOffset(slot)),
  };
}

/** Takes away the sessions whose tracers died. */
function purgeDead(file: ProviderFile, own: number | undefined): void {
  for (const { slot } of readSessions(file)) {
    if (slot === own || isTracerAlive(file, slot)) continue;
    file.write(Buffer.alloc(4), slotOffset(slot));
  }
}

/** Counts the low bytes of the words from the slots, and writes those that differ. */
function writeWords(file: ProviderFile, eventCount: number): void {
  const sessions = readSessions(file);
  const words = file.words(eventCount);
  const byte = Buffer.alloc(1);
  for (let event = 0; event < eventCount; event++) {
    const count = sessions.filter(({ wanted }) => isWanted(wanted, event)).length;
    if (((words[event] as number) & SESSION_COUNT_MASK) === count) continue;
    byte[0] = count;
    file.write(byte, PROVIDER_OFFSET.words + event * 4);
  }
}

function snapshotOf(file: ProviderFile): string {
  return file.sessionSlots().toString('latin1');
}

function countChange(file: ProviderFile): void {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE((file.header().sessionChanges + 1) >>> 0);
  file.write(bytes, PROVIDER_OFFSET.header + PROVIDER_HEADER.sessionChanges);
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
      .map((pattern) => textOf(Buffer.from(pattern))),
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

/**
 * Patterns as a slot holds them.
 *
 * @throws {ErrnoError} E2BIG when they are too long for a slot, EINVAL when one has a newline
 */
export function encodePatterns(patterns: readonly string[]): Buffer {
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
