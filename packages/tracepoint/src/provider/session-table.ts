/**
 * The sessions that want events of this thread, as its own memory shows them: slots that tracers write, and the standing
 * session, which is the program's own. What is read here was written by others, and is used for nothing but which words are on
 * and which pages are waited for. Sessions and low bytes of words are changed under the control lock only; a lock that
 * somebody else holds is never waited for on the way of an event.
 */
import {
  LANE_MODE,
  PROVIDER_LOCK,
  PROVIDER_OFFSET,
  SESSION,
  SESSION_PATTERNS_MAX,
  SESSION_SLOT_SIZE,
  SESSION_STATE,
  SESSIONS_MAX,
  STANDING_SESSION,
} from '@usertrace/abi';
import { type EventMatcher, eventMatcher, PatternError } from '@usertrace/base';
import { isByteLocked } from '@usertrace/linux';
import type { ProviderMemory } from './provider-memory.ts';

/** The system of all events that programs declare. */
const SYSTEM = 'user_events';
const SLOT_NUMBERS = SESSION_SLOT_SIZE / 4;
const SLOT_DOUBLES = SESSION_SLOT_SIZE / 8;
/** How long switching events on or off by hand waits for a tracer that is changing sessions. */
const CONTROL_DEADLINE_MS = 1000;

export class SessionTable {
  readonly #memory: ProviderMemory;
  readonly #numbers: Uint32Array;
  readonly #doubles: Float64Array;
  readonly #bytes: Uint8Array;
  readonly #names: string[] = [];
  /** While there is no memory for the lane, nobody gets events, whatever they want. */
  isSilent = false;

  constructor(memory: ProviderMemory) {
    const size = SESSIONS_MAX * SESSION_SLOT_SIZE;
    this.#memory = memory;
    this.#numbers = new Uint32Array(memory.memory, PROVIDER_OFFSET.sessions, size / 4);
    this.#doubles = new Float64Array(memory.memory, PROVIDER_OFFSET.sessions, size / 8);
    this.#bytes = new Uint8Array(memory.memory, PROVIDER_OFFSET.sessions, size);
  }

  /** Whether nobody waits for a page, so that its place can be used anew. Called when a page is full. */
  mayOverwrite(page: number): boolean {
    for (let slot = 0; slot < SESSIONS_MAX; slot++) {
      if (!this.#isActive(slot)) continue;
      if (this.#numbers[slot * SLOT_NUMBERS + SESSION.mode / 4] !== LANE_MODE.discard) continue;
      if ((this.#doubles[slot * SLOT_DOUBLES + SESSION.unreadPage / 8] as number) <= page) return false;
    }
    return true;
  }

  /**
   * Takes away the sessions of tracers that died, and counts words anew that are not what the sessions want: a tracer
   * died over them. Some system calls for each active session.
   */
  purgeDead(): void {
    if (!(this.#hasDead() || this.#hasMiscounted()) || !this.#memory.tryControl()) return;
    try {
      this.#takeDead();
      this.#countWords();
    } finally {
      this.#memory.releaseControl();
    }
  }

  /**
   * An event was added: switches it on for the sessions whose patterns mean it. When somebody else changes sessions now, it is
   * they who see the event, after they are done; until then its word is on, so that nothing is missed.
   */
  adopt(name: string): void {
    this.#names.push(name);
    if (!this.#hasActive()) return;
    const index = this.#names.length - 1;
    if (!this.#memory.tryControl()) {
      if (!this.isSilent) this.#memory.setSessionCount(index, this.#meaning(name).length);
      return;
    }
    try {
      this.#takeDead();
      for (const slot of this.#meaning(name)) this.#setWanted(slot, index, true);
      this.#countWord(index);
    } finally {
      this.#memory.releaseControl();
    }
  }

  /**
   * Switches events of the standing session on or off, and remembers it for events to come.
   *
   * @throws {PatternError} for what is no pattern
   * @throws {Error} when there are too many patterns, or a tracer holds the lock for longer than a second
   */
  switchStanding(pattern: string, isOn: boolean): void {
    if (pattern.includes('\n')) throw new PatternError('a PATTERN has a line end, and no event does');
    const matches = eventMatcher(pattern);
    this.#takeControl(pattern);
    try {
      const kept = this.#patterns(STANDING_SESSION).filter((other) => other !== pattern);
      if (isOn) kept.push(pattern);
      this.#storePatterns(kept);
      this.#names.forEach((name, index) => {
        if (matches(SYSTEM, name)) this.#setWanted(STANDING_SESSION, index, isOn);
      });
      this.#activateStanding(kept);
      this.#takeDead();
      this.#countWords();
    } finally {
      this.#memory.releaseControl();
    }
  }

  /** Stores anew how many sessions want each event. */
  recount(): void {
    if (!this.#memory.tryControl()) return;
    try {
      this.#countWords();
    } finally {
      this.#memory.releaseControl();
    }
  }

  #takeControl(pattern: string): void {
    const deadline = performance.now() + CONTROL_DEADLINE_MS;
    const nothing = new Int32Array(new SharedArrayBuffer(4));
    while (!this.#memory.tryControl()) {
      if (performance.now() > deadline) {
        throw new Error(`Cannot switch "${pattern}": a tracer is changing this program's events; try again`);
      }
      Atomics.wait(nothing, 0, 0, 1);
    }
  }

  #isActive(slot: number): boolean {
    return this.#numbers[slot * SLOT_NUMBERS + SESSION.state / 4] === SESSION_STATE.active;
  }

  #hasActive(): boolean {
    for (let slot = 0; slot < SESSIONS_MAX; slot++) if (this.#isActive(slot)) return true;
    return false;
  }

  #isDead(slot: number): boolean {
    if (slot === STANDING_SESSION || !this.#isActive(slot)) return false;
    return !isByteLocked(this.#memory.fd, PROVIDER_LOCK.firstSession + slot);
  }

  #hasDead(): boolean {
    for (let slot = 0; slot < SESSIONS_MAX; slot++) if (this.#isDead(slot)) return true;
    return false;
  }

  /** The active sessions with a pattern that means an event. */
  #meaning(name: string): number[] {
    const slots = Array.from({ length: SESSIONS_MAX }, (_, slot) => slot);
    return slots.filter((slot) => this.#isActive(slot) && matchesAny(this.#patterns(slot), name));
  }

  #takeDead(): void {
    for (let slot = 0; slot < SESSIONS_MAX; slot++) {
      if (this.#isDead(slot)) this.#numbers[slot * SLOT_NUMBERS + SESSION.state / 4] = SESSION_STATE.free;
    }
  }

  #countWords(): void {
    for (let index = 0; index < this.#names.length; index++) this.#countWord(index);
  }

  #countWord(index: number): void {
    this.#memory.setSessionCount(index, this.#sessionsWanting(index));
  }

  #hasMiscounted(): boolean {
    for (let index = 0; index < this.#names.length; index++) {
      if (this.#memory.sessionCount(index) !== this.#sessionsWanting(index)) return true;
    }
    return false;
  }

  #sessionsWanting(index: number): number {
    let count = 0;
    for (let slot = 0; slot < SESSIONS_MAX && !this.isSilent; slot++) {
      const bits = this.#bytes[slot * SESSION_SLOT_SIZE + SESSION.wanted + (index >> 3)] as number;
      if (this.#isActive(slot) && (bits & (1 << (index & 7))) !== 0) count += 1;
    }
    return count;
  }

  #setWanted(slot: number, index: number, isWanted: boolean): void {
    const at = slot * SESSION_SLOT_SIZE + SESSION.wanted + (index >> 3);
    const bit = 1 << (index & 7);
    const bits = this.#bytes[at] as number;
    this.#bytes[at] = isWanted ? bits | bit : bits & ~bit;
  }

  #patterns(slot: number): string[] {
    const length = this.#numbers[slot * SLOT_NUMBERS + SESSION.patternsLength / 4] as number;
    const start = slot * SESSION_SLOT_SIZE + SESSION.patterns;
    const bytes = this.#bytes.subarray(start, start + Math.min(length, SESSION_PATTERNS_MAX));
    return Buffer.from(bytes)
      .toString()
      .split('\n')
      .filter((pattern) => pattern !== '');
  }

  #storePatterns(patterns: readonly string[]): void {
    const text = Buffer.from(patterns.map((pattern) => `${pattern}\n`).join(''));
    if (text.length > SESSION_PATTERNS_MAX) {
      throw new Error(
        `Cannot remember more patterns: they take ${text.length} bytes of ${SESSION_PATTERNS_MAX}; use *`,
      );
    }
    this.#bytes.set(text, STANDING_SESSION * SESSION_SLOT_SIZE + SESSION.patterns);
    this.#numbers[STANDING_SESSION * SLOT_NUMBERS + SESSION.patternsLength / 4] = text.length;
  }

  /** The standing session is there while it wants something, or will want it of an event to come. */
  #activateStanding(patterns: readonly string[]): void {
    const start = STANDING_SESSION * SESSION_SLOT_SIZE + SESSION.wanted;
    const wanted = this.#bytes.subarray(start, start + (SESSION.patterns - SESSION.wanted));
    const isActive = patterns.length > 0 || wanted.some((bits) => bits !== 0);
    const first = STANDING_SESSION * SLOT_NUMBERS;
    const state = isActive ? SESSION_STATE.active : SESSION_STATE.free;
    if (isActive && !this.#isActive(STANDING_SESSION)) {
      this.#numbers[first + SESSION.mode / 4] = LANE_MODE.overwrite;
      this.#numbers[first + SESSION.pid / 4] = process.pid;
      this.#doubles[STANDING_SESSION * SLOT_DOUBLES + SESSION.startedAt / 8] = Number(
        process.hrtime.bigint(),
      );
    }
    this.#numbers[first + SESSION.state / 4] = state;
  }
}

function matchesAny(patterns: readonly string[], name: string): boolean {
  return patterns.some((pattern) => matcherOf(pattern)?.(SYSTEM, name) === true);
}

/** The matcher of a pattern that somebody else wrote. */
function matcherOf(pattern: string): EventMatcher | undefined {
  try {
    return eventMatcher(pattern);
  } catch {
    return undefined;
  }
}
