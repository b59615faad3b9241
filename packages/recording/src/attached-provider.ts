/**
 * `AttachedProvider`: a provider of which a session of ours records: its file, its session, its lane once there is
 * one, and the rules by which records of the lane are taken.
 */
import {
  minimumPayload,
  PROVIDER_EVENTS_MAX,
  PROVIDER_FIRST_EVENT_ID,
  type ProviderEvent,
} from '@usertrace/abi';
import { type LaneReader, RecordRules, scanPage } from '@usertrace/ring';
import { ProviderFile } from './provider-file.ts';
import type { ProviderPlace } from './provider-search.ts';
import {
  type EventChoice,
  ProviderSession,
  type SessionRequest,
  switchStanding,
} from './provider-session.ts';

/** Says which id an event has in the output; undefined leaves it out. */
export type WrittenId = (event: ProviderEvent) => number | undefined;

/** The rules for the lane of a provider, without an event. */
export function emptyRules(file: ProviderFile): RecordRules {
  return new RecordRules(file.opened.tid, PROVIDER_FIRST_EVENT_ID, PROVIDER_EVENTS_MAX);
}

/**
 * Adds events to the rules of a lane.
 *
 * @param rules of the lane
 * @param events of its provider
 * @param writtenId says which ids they have in the output
 */
export function addEvents(rules: RecordRules, events: readonly ProviderEvent[], writtenId: WrittenId): void {
  for (const event of events) {
    const hasDynamicPart = event.fields.some(({ type }) => /^__(data|rel)_loc /.test(type));
    rules.add(event.id, minimumPayload(event.fields), hasDynamicPart, writtenId(event));
  }
}

export class AttachedProvider {
  readonly file: ProviderFile;
  /** CLOCK_MONOTONIC nanoseconds: what is older is not for us. */
  readonly from: bigint;
  readonly rules: RecordRules;
  /** Undefined for a thread that has ended already. */
  readonly #session: ProviderSession | undefined;
  readonly #writtenId: WrittenId;
  #request: SessionRequest;
  #reader: LaneReader | undefined;
  #events: readonly ProviderEvent[] = [];

  private constructor(
    file: ProviderFile,
    request: SessionRequest,
    writtenId: WrittenId,
    session: ProviderSession | undefined,
    reader: LaneReader | undefined,
    isTakenOver: boolean,
  ) {
    this.file = file;
    // What a process did before its prober's file was made may be older than the request.
    const { beginning = 0n } = request;
    this.from = isTakenOver ? (file.isProbers ? beginning : 0n) : (session?.startedAt ?? 0n);
    this.rules = emptyRules(file);
    this.#session = session;
    this.#reader = reader;
    this.#request = request;
    this.#writtenId = (event) =>
      this.#request.matches(event.system, event.name) ? writtenId(event) : undefined;
    this.refresh();
  }

  /**
   * Begins a session with a provider.
   *
   * @param place the provider's file
   * @param request what is wanted
   * @param writtenId says which ids the wanted events have in the output
   * @returns the provider; `dead` when its thread has ended, `busy` when its sessions are being changed by another,
   *   to be tried again, `full` when it has as many sessions as there can be
   * @throws {ErrnoError} when the file cannot be read
   */
  static attach(
    place: ProviderPlace,
    request: SessionRequest,
    writtenId: WrittenId,
  ): AttachedProvider | 'dead' | 'busy' | 'full' {
    const file = ProviderFile.open(place.path, place.owner, 'change');
    const { beginning } = request;
    // A prober's file is made when the process is hit, maybe long after its birth.
    const madeAt = file.isProbers ? place.madeAt : file.opened.createdAt;
    const isTakenOver = beginning !== undefined && madeAt >= Number(beginning);
    let provider: AttachedProvider | 'dead' | 'busy' | 'full' | undefined;
    try {
      if (file.isAlive) provider = AttachedProvider.#attachLiving(file, request, writtenId, isTakenOver);
      // What a thread left that was started for us and has ended before it was seen is for us as well.
      else if (!isTakenOver || file.opened.hasEnded) provider = 'dead';
      else provider = new AttachedProvider(file, request, writtenId, undefined, file.laneReader(), true);
    } finally {
      if (typeof provider !== 'object') file.close();
    }
    return provider;
  }

  /** @param isTakenOver whether what its lane has already is for us as well */
  static #attachLiving(
    file: ProviderFile,
    request: SessionRequest,
    writtenId: WrittenId,
    isTakenOver: boolean,
  ): AttachedProvider | 'busy' | 'full' {
    const reader = file.laneReader();
    if (reader !== undefined && !isTakenOver) startAtNewest(reader, file);
    const session = ProviderSession.attach(file, request, reader?.position ?? 0);
    if (typeof session === 'string') return session;
    // The session is there now, so no event is missed. One that cannot be ended now ends with the program.
    if (isTakenOver && !file.isProbers) {
      switchStanding(file, request, false, session.slot);
      // What the program declared in between.
      session.update();
    }
    return new AttachedProvider(file, request, writtenId, session, reader, isTakenOver);
  }

  /**
   * The reader of the lane, from where the session began.
   *
   * @returns undefined while there is no lane
   */
  get reader(): LaneReader | undefined {
    this.#reader ??= this.file.laneReader();
    return this.#reader;
  }

  /** The events that the rules have. */
  get events(): readonly ProviderEvent[] {
    return this.#events;
  }

  /** Pages of the lane; 1 while there is none. */
  get pageCount(): number {
    return this.#reader?.pageCount ?? 1;
  }

  /** Takes events that were declared since into the rules. */
  refresh(): void {
    const events = this.file.events();
    addEvents(this.rules, events.slice(this.#events.length), this.#writtenId);
    this.#events = events;
  }

  /** Looks for new events, and switches on those that are wanted. Costs one read when there is nothing new. */
  update(): void {
    this.#session?.update();
    if (this.file.events().length > this.#events.length) this.refresh();
  }

  /** Wants other events from now on; what it did not get done now, `update()` does. */
  change(choice: EventChoice): void {
    this.#request = { ...this.#request, ...choice };
    addEvents(this.rules, this.#events, this.#writtenId);
    this.#session?.change(choice);
  }

  /** Says that everything before a page was read. */
  setUnreadPage(page: number): void {
    this.#session?.setUnreadPage(page);
  }

  /** Ends the session; answers like ProviderSession.detach(). */
  detach(): boolean {
    return this.#session?.detach() ?? true;
  }
}

/**
 * Goes to the page that is being filled, and counts what is in it: should it be overwritten before it is read again,
 * these are not lost for a session that begins now.
 */
function startAtNewest(reader: LaneReader, file: ProviderFile): void {
  reader.seekNewest();
  const [page] = reader.next();
  if (page === undefined) return;
  const rules = emptyRules(file);
  addEvents(rules, file.events(), () => undefined);
  reader.countPartial(scanPage(page.bytes, page.dataLength, rules, Number.POSITIVE_INFINITY).events);
}
