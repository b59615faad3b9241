/**
 * Changing the sessions of a provider, and the enable words that follow from them.
 *
 * Whoever changes anything holds the control lock, for some microseconds, and takes away the sessions of tracers that
 * died before it does. A word's low byte is always counted anew from all slots and written as one byte, so a change
 * that was interrupted is made good by the following one, whoever makes it.
 */
import {
  type ProviderEvent,
  PROVIDER_HEADER,
  PROVIDER_LOCK,
  PROVIDER_OFFSET,
  SESSION,
  SESSION_COUNT_MASK,
  STANDING_SESSION,
} from '@usertrace/abi';
import { eventMatcher, PatternError } from '@usertrace/base';
import { isByteLocked, tryLockByte, unlockByte } from '@usertrace/linux';
import type { ProviderFile } from './provider-file.ts';
import {
  clearSlot,
  isTracerAlive,
  isWanted,
  readSessions,
  type SessionSlot,
  sessionLock,
  setWanted,
  type SlotContent,
  slotOffset,
  storeSlot,
} from './session-slots.ts';

/** How often it is looked whether the program declared events meanwhile: one that goes on does so hundreds of times. */
const REPEATS_MAX = 256;
/** How long a program that is adding an event is waited for, which takes microseconds, in milliseconds. */
const REPEAT_PATIENCE_MS = 2;

/**
 * Takes the control lock. Whoever has it gives it back with releaseControl().
 *
 * @param patienceMs how long another holder is waited for, in milliseconds; the waiting is busy
 * @returns whether it was to be had
 */
export function takeControl(file: ProviderFile, patienceMs: number): boolean {
  const deadline = performance.now() + patienceMs;
  while (!tryLockByte(file.fd, PROVIDER_LOCK.control)) if (performance.now() >= deadline) return false;
  return true;
}

/** Gives the control lock back. */
export function releaseControl(file: ProviderFile): void {
  unlockByte(file.fd, PROVIDER_LOCK.control);
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
    if (!takeControl(file, repeat === 0 ? 0 : REPEAT_PATIENCE_MS)) return repeat === 0 ? undefined : seen;
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
      releaseControl(file);
    }
    if (file.header().eventCount === seen) break;
  }
  return seen;
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
    store: (slot, content) => storeSlot(file, slot, content),
    clear: (slot) => clearSlot(file, slot),
  };
}

/** Takes away the sessions whose tracers died. */
function purgeDead(file: ProviderFile, own: number | undefined): void {
  for (const { slot } of readSessions(file)) {
    if (slot !== own && !isTracerAlive(file, slot)) clearSlot(file, slot);
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
