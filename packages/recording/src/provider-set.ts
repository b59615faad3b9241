/**
 * `ProviderSet`: the providers that a tracer follows: those that were there when it began, and those that appear.
 * Each gets a session and a follower, which reads its lane turn by turn, and is let go when its thread has ended and
 * its lane is read. Processes that descend from a probed one are wanted as that is.
 *
 * One set belongs to one tracer. Nothing here waits: whoever owns it calls turn() again, soon when a turn says so.
 */
import { ErrnoError } from '@usertrace/base';
import type { RuntimeSurroundings } from '@usertrace/linux';
import { AttachedProvider, type WrittenId } from './attached-provider.ts';
import { ProviderFile } from './provider-file.ts';
import { OWN_SURROUNDINGS, type ProviderPlace, ProviderSearch } from './provider-search.ts';
import type { EventChoice, SessionRequest } from './provider-session.ts';

/** How often the folders are listed although nobody said that something changed, in milliseconds. */
const LIST_INTERVAL_MS = 500;
/** How often each provider is asked whether it lives and has new events, in milliseconds. */
const UPDATE_INTERVAL_MS = 50;
/** How long it is tried to begin or end a session while another tool holds the lock, in milliseconds. */
const LOCK_PATIENCE_MS = 2_000;
/** How long a file that is still being made is tried again. */
const MAKING_PATIENCE_MS = 2_000;

const LOCK_RETRY_MS = 5;
const NEVER_WOKEN = new Int32Array(new SharedArrayBuffer(4));
/** In how many turns a lane is read to its end at most: one that is still written to has none. */
const DRAIN_TURNS_MAX = 512;

/** Whether what a thread of a process writes is wanted. */
export type WantsProcess = (pid: number, tid: number) => boolean;

/** Reads the lane of one provider. */
export interface LaneFollower {
  /**
   * Reads what is there, or a share of it.
   *
   * @returns which part of the lane was unread: 1 or more when there may be more than was read
   * @throws {ErrnoError} when the lane makes no sense
   */
  readonly turn: () => number;
  /** Nothing more will be read. */
  readonly end: () => void;
}

/** What a set is made with. */
export interface ProviderSetParts {
  readonly request: SessionRequest;
  readonly writtenId: WrittenId;
  /**
   * Whether a process is to be followed; asked for each of its threads, with thread 0 for the file of a prober. Children that such a
   * process has from then on are followed as well.
   */
  readonly wantsProcess: WantsProcess;
  /** Makes the follower of a provider. */
  readonly follow: (provider: AttachedProvider) => LaneFollower;
  /** Told of what could not be followed, or not any longer. */
  readonly warn: (message: string) => void;
  /** Called when a provider may have appeared: the following turn should come at once. */
  readonly onNews?: () => void;
  readonly surroundings?: RuntimeSurroundings;
}

interface Followed {
  readonly place: ProviderPlace;
  readonly provider: AttachedProvider;
  readonly follower: LaneFollower;
}

export class ProviderSet {
  readonly #parts: ProviderSetParts;
  #request: SessionRequest;
  readonly #search: ProviderSearch;
  readonly #followedByPath = new Map<string, Followed>();
  /** Files that are not followed and will not be. */
  #refusedPaths = new Set<string>();
  /** Until when a file is tried again that could not be opened or locked yet. */
  #triedUntilMsByPath = new Map<string, number>();
  /** Processes whose probers' files were wanted, behind the files' owner: nobody's files tell of another's processes. */
  readonly #probed = new Set<string>();
  readonly #beganAt = process.hrtime.bigint();
  #mustList = true;
  #listedAtMs = 0;
  #updatedAtMs = 0;

  constructor(parts: ProviderSetParts) {
    this.#parts = parts;
    this.#request = parts.request;
    this.#search = new ProviderSearch(parts.surroundings ?? OWN_SURROUNDINGS, () => {
      this.#mustList = true;
      parts.onNews?.();
    });
  }

  /** The providers that are followed now. */
  get providers(): AttachedProvider[] {
    return [...this.#followedByPath.values()].map(({ provider }) => provider);
  }

  /** Whether a file is still being made, or somebody else changes its sessions: the following turn should come soon. */
  get isWaiting(): boolean {
    return this.#mustList;
  }

  /**
   * Takes new providers in, reads all lanes, and lets go of those whose threads have ended.
   *
   * @returns which part of a lane was unread at most, of 1
   */
  turn(): number {
    const now = performance.now();
    if (this.#mustList || now - this.#listedAtMs > LIST_INTERVAL_MS) this.#takeNew(now);
    const isUpdate = now - this.#updatedAtMs > UPDATE_INTERVAL_MS;
    if (isUpdate) this.#updatedAtMs = now;
    let fill = 0;
    for (const followed of this.#followedByPath.values())
      fill = Math.max(fill, this.#read(followed, isUpdate));
    return fill;
  }

  /**
   * Ends all sessions.
   *
   * @param isRead whether what is left in the lanes is read; not when there is nowhere to put it
   */
  stop(isRead: boolean): void {
    // What programs have started and ended in their last moment.
    if (isRead) this.#takeNew(performance.now());
    this.#search.close();
    const deadline = performance.now() + LOCK_PATIENCE_MS;
    let open = [...this.#followedByPath.values()];
    do {
      open = open.filter((followed) => !this.#attempt(followed, () => followed.provider.detach()));
      if (isRead) for (const followed of open) this.#read(followed, false);
      if (open.length > 0) Atomics.wait(NEVER_WOKEN, 0, 0, LOCK_RETRY_MS);
    } while (open.length > 0 && performance.now() < deadline);
    // Whoever looks next takes the sessions away of those whose lock is still held by another.
    for (const followed of this.#followedByPath.values()) this.#letGo(followed, isRead);
  }

  /** Wants other events from now on. */
  change(choice: EventChoice): void {
    this.#request = { ...this.#request, ...choice };
    for (const followed of this.#followedByPath.values())
      this.#attempt(followed, () => {
        followed.provider.change(choice);
        return true;
      });
  }

  #takeNew(now: number): void {
    this.#mustList = false;
    this.#listedAtMs = now;
    const places = this.#search.list();
    for (const place of places) {
      if (this.#followedByPath.has(place.path) || this.#refusedPaths.has(place.path)) continue;
      this.#take(place, now);
    }
    const listed = new Set(places.map(({ path }) => path));
    this.#refusedPaths = new Set([...this.#refusedPaths].filter((path) => listed.has(path)));
    this.#triedUntilMsByPath = new Map([...this.#triedUntilMsByPath].filter(([path]) => listed.has(path)));
  }

  #take(place: ProviderPlace, now: number): void {
    try {
      if (!this.#isWanted(place)) {
        this.#refusedPaths.add(place.path);
        return;
      }
      const isProbers = place.tid === 0;
      if (isProbers) this.#probed.add(`${place.owner} ${place.pid}`);
      const request = isProbers ? { beginning: this.#beganAt, ...this.#request } : this.#request;
      const provider = AttachedProvider.attach(place, request, this.#parts.writtenId);
      if (typeof provider === 'object') {
        this.#followedByPath.set(place.path, { place, provider, follower: this.#parts.follow(provider) });
      } else if (provider === 'dead') this.#refusedPaths.add(place.path);
      else this.#tryAgain(place, now, LOCK_PATIENCE_MS, whyNot(provider, place));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // Gone since it was listed.
      if (code === 'ENOENT') return;
      if (code === 'EAGAIN') this.#tryAgain(place, now, MAKING_PATIENCE_MS, (error as Error).message);
      else this.#refuse(place, error);
    }
  }

  /** @throws {ErrnoError} when the file cannot be read */
  #isWanted({ path, owner, pid, tid }: ProviderPlace): boolean {
    if (this.#parts.wantsProcess(pid, tid)) return true;
    if (tid !== 0 || this.#probed.size === 0) return false;
    const file = ProviderFile.open(path, owner);
    const { ancestorPid, createdAt } = file.opened;
    file.close();
    return this.#probed.has(`${owner} ${ancestorPid}`) && createdAt >= Number(this.#beganAt);
  }

  #tryAgain({ path }: ProviderPlace, now: number, patienceMs: number, why: string): void {
    const until = this.#triedUntilMsByPath.get(path);
    if (until === undefined) this.#triedUntilMsByPath.set(path, now + patienceMs);
    this.#mustList = true;
    if (until === undefined || now < until) return;
    this.#refusedPaths.add(path);
    this.#parts.warn(why);
  }

  #refuse({ path }: ProviderPlace, error: unknown): void {
    // A full disk is not the provider's fault.
    if (!(error instanceof ErrnoError)) throw error;
    this.#refusedPaths.add(path);
    this.#parts.warn((error as Error).message);
  }

  #read(followed: Followed, isUpdate: boolean): number {
    let fill = 0;
    this.#attempt(followed, () => {
      // Asked before the lane is read, so that what was written before the end is read.
      const hasEnded = isUpdate && !followed.provider.file.isAlive;
      if (isUpdate && !hasEnded) followed.provider.update();
      fill = followed.follower.turn();
      if (hasEnded && fill < 1) this.#letGo(followed, true);
      return true;
    });
    return fill;
  }

  #letGo({ place, provider, follower }: Followed, isRead: boolean): void {
    try {
      for (let turns = isRead ? DRAIN_TURNS_MAX : 0; turns > 0 && follower.turn() >= 1; turns--);
    } catch (error) {
      this.#refuse(place, error);
    }
    follower.end();
    provider.file.close();
    this.#followedByPath.delete(place.path);
    this.#refusedPaths.add(place.path);
  }

  /** Does something with a provider; one whose file makes no sense is followed no longer. */
  #attempt({ place, provider, follower }: Followed, act: () => boolean): boolean {
    try {
      return act();
    } catch (error) {
      this.#refuse(place, error);
      follower.end();
      provider.file.close();
      this.#followedByPath.delete(place.path);
      return true;
    }
  }
}

function whyNot(state: 'busy' | 'full', { pid, path }: ProviderPlace): string {
  return state === 'full'
    ? `Cannot follow process ${pid}: it has as many listeners as there can be; \`usertrace list --pid ${pid}\` shows them`
    : `Cannot follow process ${pid}: another tool has held the lock of ${path} all the time`;
}
