/**
 * `ProviderSession`: one tracer's session with one provider. It holds a descriptor of the provider's file, and
 * through it the lock of its slot: however the tracer dies, the lock is free then, and the session is over for
 * whoever looks.
 *
 * The standing session has no tracer and no lock: it is the program's own, and what `usertrace enable` switches.
 */
import { type ProviderEvent, SESSION, STANDING_SESSION } from '@usertrace/abi';
import { ErrnoError } from '@usertrace/base';
import { tryLockByte, unlockByte } from '@usertrace/linux';
import { ProviderFile } from './provider-file.ts';
import { changeSessions, type SessionControl } from './session-control.ts';
import { sessionLock, setWanted, slotOffset, WANTED_SIZE } from './session-slots.ts';

/** Which events are meant. */
export interface EventChoice {
  /** As a user types them; the program itself looks at them when it declares events later. */
  readonly patterns: readonly string[];
  /** The same patterns as a function. */
  readonly matches: (system: string, event: string) => boolean;
}

/** What a session wants of a provider. */
export interface SessionRequest extends EventChoice {
  /**
   * CLOCK_MONOTONIC nanoseconds: programs that were started after this had the patterns in their standing session. So nothing is
   * missed of their beginning: what their lanes have already is taken over from there. Of files of probers that is done without it,
   * from when the tracer began: they write what a process does before a tracer can have found it.
   */
  readonly beginning?: bigint;
  /** What happens when the lane is full of events that the session has not read. */
  readonly mode: 'overwrite' | 'discard';
}

export class ProviderSession {
  readonly file: ProviderFile;
  readonly slot: number;
  /** CLOCK_MONOTONIC nanoseconds: what is older was written for others. */
  readonly startedAt: bigint;
  #request: SessionRequest;
  /** The slot does not say yet what is wanted. */
  #isChanged = false;
  #wantedCount = 0;
  readonly #unreadBytes = Buffer.alloc(8);
  #unreadPage: number;

  private constructor(
    file: ProviderFile,
    slot: number,
    startedAt: bigint,
    request: SessionRequest,
    unreadPage: number,
    wantedCount: number,
  ) {
    this.file = file;
    this.slot = slot;
    this.startedAt = startedAt;
    this.#request = request;
    this.#wantedCount = wantedCount;
    this.#unreadPage = unreadPage;
  }

  /**
   * Begins a session.
   *
   * @param file the provider's, opened for change; it belongs to the session from now on
   * @param request what it wants
   * @param unreadPage the first page of the lane that it has not read
   * @returns the session; `busy` when somebody else is changing sessions now, `full` when all slots are taken
   * @throws {ErrnoError} when the file cannot be read or written
   */
  static attach(
    file: ProviderFile,
    request: SessionRequest,
    unreadPage: number,
  ): ProviderSession | 'busy' | 'full' {
    const startedAt = process.hrtime.bigint();
    let slot: number | undefined;
    const wantedCount = changeSessions(file, undefined, (control) => {
      slot = takeSlot(file, control);
      if (slot === undefined) return;
      control.store(slot, {
        mode: request.mode,
        tracerPid: process.pid,
        patterns: request.patterns,
        startedAt: Number(startedAt),
        wanted: wantedBits(file.events(), request),
        unreadPage,
      });
    });
    if (wantedCount === undefined) return 'busy';
    if (slot === undefined) return 'full';
    return new ProviderSession(file, slot, startedAt, request, unreadPage, wantedCount);
  }

  /**
   * Looks for events that were declared since, and switches on those that are meant. The program does so too; this
   * makes good what it could not do because somebody held the lock.
   *
   * @returns false when somebody else is changing sessions now: to be tried again
   * @throws {ErrnoError} when the file cannot be read or written
   */
  update(): boolean {
    const events = this.file.events();
    if (events.length === this.#wantedCount && !this.#isChanged) return true;
    const { mode, patterns } = this.#request;
    const wantedCount = changeSessions(this.file, this.slot, (control) => {
      const wanted = wantedBits(events, this.#request);
      if (!this.#isChanged) this.file.write(wanted, slotOffset(this.slot) + SESSION.wanted);
      else {
        const startedAt = Number(this.startedAt);
        control.store(this.slot, {
          mode,
          tracerPid: process.pid,
          patterns,
          startedAt,
          wanted,
          unreadPage: this.#unreadPage,
        });
      }
    });
    if (wantedCount === undefined) return false;
    this.#wantedCount = wantedCount;
    this.#isChanged = false;
    return true;
  }

  /**
   * Wants other events from now on.
   *
   * @returns as `update()`, which makes good what could not be done now
   * @throws {ErrnoError} as `update()`
   */
  change(choice: EventChoice): boolean {
    this.#request = { ...this.#request, ...choice };
    this.#isChanged = true;
    return this.update();
  }

  /** Says which page is the first that was not read; in discard mode the program waits for it. */
  setUnreadPage(page: number): void {
    if (page === this.#unreadPage) return;
    this.#unreadPage = page;
    this.#unreadBytes.writeDoubleLE(page);
    this.file.write(this.#unreadBytes, slotOffset(this.slot) + SESSION.unreadPage);
  }

  /**
   * Ends the session: the events that nobody else wants are off. The descriptor stays open for what is left to read.
   *
   * @returns false when somebody else is changing sessions now. Closing the file ends it in any case, and whoever
   *   looks next takes the session away
   * @throws {ErrnoError} when the file cannot be read or written
   */
  detach(): boolean {
    const isDone = changeSessions(this.file, this.slot, (control) => control.clear(this.slot)) !== undefined;
    if (isDone) unlockByte(this.file.fd, sessionLock(this.slot));
    return isDone;
  }
}

/**
 * Changes the standing session of a provider.
 *
 * @param file the provider's, opened for change
 * @param choice the events that are meant
 * @param isOn whether they are to be on, with those to come that the patterns mean
 * @param own the slot of the session that is held through the same descriptor, if there is one
 * @returns the events that were meant; `busy` when somebody else is changing sessions now
 * @throws {ErrnoError} when the file cannot be read or written, or E2BIG when there are too many patterns
 */
export function switchStanding(
  file: ProviderFile,
  choice: EventChoice,
  isOn: boolean,
  own?: number,
): readonly ProviderEvent[] | 'busy' {
  const events = file.events();
  const meant = events.filter(({ system, name }) => choice.matches(system, name));
  const done = changeSessions(file, own, (control) => {
    const standing = control.sessions.find(({ slot }) => slot === STANDING_SESSION);
    const wanted = standing === undefined ? new Uint8Array(WANTED_SIZE) : standing.wanted.slice();
    for (const { index } of meant) setWanted(wanted, index, isOn);
    const others = (standing?.patterns ?? []).filter((pattern) => !choice.patterns.includes(pattern));
    const isAnyWanted = wanted.some((byte) => byte !== 0);
    const patterns = isOn ? [...others, ...choice.patterns] : isAnyWanted ? others : [];
    if (patterns.length === 0 && !isAnyWanted) {
      if (standing !== undefined) control.clear(STANDING_SESSION);
      return;
    }
    control.store(STANDING_SESSION, {
      mode: 'overwrite',
      tracerPid: process.pid,
      patterns,
      startedAt: standing?.startedAt ?? Number(process.hrtime.bigint()),
      wanted,
      unreadPage: 0,
    });
  });
  return done === undefined ? 'busy' : meant;
}

/**
 * Takes away the sessions of tracers that died. What the program does by itself at an event, this does for one that
 * writes none.
 *
 * @param file the provider's, opened for change
 * @returns false when somebody else is changing sessions now
 */
export function purgeSessions(file: ProviderFile): boolean {
  return changeSessions(file, undefined, () => undefined) !== undefined;
}

function takeSlot(file: ProviderFile, control: SessionControl): number | undefined {
  const slot = control.freeSlot();
  return slot !== undefined && tryLockByte(file.fd, sessionLock(slot)) ? slot : undefined;
}

function wantedBits(events: readonly ProviderEvent[], { matches }: EventChoice): Uint8Array {
  const wanted = new Uint8Array(WANTED_SIZE);
  for (const { index, system, name } of events) setWanted(wanted, index, matches(system, name));
  return wanted;
}

/**
 * The error for a provider whose control lock somebody else held for too long.
 *
 * @param file the provider's
 */
export function heldTooLong(file: ProviderFile): ErrnoError {
  const { pid } = file.opened;
  return new ErrnoError(
    'EBUSY',
    `Cannot change who listens to process ${pid}: another tool has held the lock of ${file.path} all the time; end that tool (fuser ${file.path})`,
  );
}
