/**
 * The owner of the serving thread: it waits for descriptors and timers, runs their callbacks, one source "inline"
 * with as little delay as possible, then deferred work, and lets Node's own loop run in between.
 *
 * A round: serve the inline source while it has requests; due timers; ready descriptors; deferred work. With nothing
 * left to do it keeps asking the inline source for `SPIN_NS` more, because a requester that finds us awake waits
 * 8 µs and one that must wake us 25 to 50 µs; then it sleeps in epoll_wait(2). It never spins when the source was
 * silent for that long.
 *
 * Node's loop runs (we return to it by setImmediate) before every sleep that follows work, so that promises and
 * streams used by callbacks go on; when its epoll descriptor or a timer of it says so; when a signal interrupts;
 * and after `MAX_BUSY_NS` of work without a pause.
 *
 * Nothing wakes the reactor from another thread: everything that may concern it is a descriptor.
 */
import { availableParallelism } from 'node:os';
import { assert, ERRNO, Nanoseconds } from '@usertrace/base';
import { monotonicNow } from '../clock.ts';
import { Epoll } from '../epoll.ts';
import { type HostLoop, NodeLoop } from './node-loop.ts';
import { type Timer, TimerQueue } from './timers.ts';

/** How long to go on asking the inline source after its last request. With one CPU it would only delay others. */
const SPIN_NS = availableParallelism() > 1 ? 40_000 : 0;
/** Node's loop waits so long at most while we have work. */
const MAX_BUSY_NS = 2_000_000;
/** The longest sleep, as a belt to the braces. */
const MAX_SLEEP_NS = 1_000_000_000;
/** The inline source is asked so often before timers, descriptors and the clock are looked at. */
const SERVICES_PER_ROUND = 16;
/** Pieces of deferred work that may wait. Each belongs to some object of which the number is bounded far below. */
const MAX_DEFERRED = 1_048_576;

/** Somebody to whom callbacks are promised, and who can take the promise back. */
export interface Cancellable {
  cancel(): void;
}

/** A source of requests that is asked without being waited for first: the /dev/fuse descriptor. */
export interface InlineSource {
  /** A descriptor that becomes readable when there are requests. */
  readonly fd: number;
  /** Serves a bounded number of requests, without waiting. Returns whether there was any. */
  service(): boolean;
}

/** The event loop. One for a thread; its owner calls `close` once `run` has returned. */
export class Reactor {
  readonly #epoll = new Epoll();
  readonly #timers = new TimerQueue();
  readonly #callbacks = new Map<number, () => void>();
  readonly #host: HostLoop;
  #deferred: (() => void)[] = [];
  #source: InlineSource | undefined;
  #running: { finish: () => void; fail: (reason: unknown) => void } | undefined;
  #stopping = false;
  /** Whether callbacks ran since Node's loop did: they may have left promises to be continued. */
  #ranCallbacks = false;
  #lastServiceNs = -Infinity;

  /** @param host the loop to be shared with; Node's of this thread if left out */
  constructor(host: HostLoop = new NodeLoop()) {
    this.#host = host;
    this.#epoll.add(host.fd);
  }

  /**
   * Calls back whenever a descriptor can be read (again and again while it stays so).
   *
   * @param fd the descriptor, watched by nobody else here; cancel before closing it
   * @param readable what to do
   * @throws {ErrnoError} EPERM when such a descriptor cannot be waited for
   */
  watch(fd: number, readable: () => void): Cancellable {
    this.#epoll.add(fd);
    this.#callbacks.set(fd, readable);
    return {
      cancel: () => {
        if (this.#callbacks.get(fd) !== readable) return;
        this.#callbacks.delete(fd);
        this.#epoll.remove(fd);
      },
    };
  }

  /**
   * Makes a source the one that is served inline.
   *
   * @param source asked in every round; cancel before closing its descriptor
   */
  serve(source: InlineSource): Cancellable {
    assert(this.#source === undefined, 'one source is served inline');
    this.#epoll.add(source.fd);
    this.#source = source;
    return {
      cancel: () => {
        if (this.#source !== source) return;
        this.#source = undefined;
        this.#epoll.remove(source.fd);
      },
    };
  }

  /**
   * Does work after the callback that runs now, before anything is waited for. Work that it defers in turn is done
   * after timers and descriptors had their turn.
   */
  defer(work: () => void): void {
    assert(this.#deferred.length < MAX_DEFERRED, 'work is deferred by objects whose number is bounded');
    this.#deferred.push(work);
  }

  /**
   * Does work later.
   *
   * @param delayNs not before so many nanoseconds from now
   * @param work what to do
   */
  after(delayNs: Nanoseconds, work: () => void): Cancellable {
    return this.#timers.add(Nanoseconds(monotonicNow() + delayNs), work);
  }

  /**
   * Runs until `stop`.
   *
   * @returns when stopped; rejects with what a callback threw, and may then be run again
   */
  run(): Promise<void> {
    assert(this.#running === undefined, 'a reactor runs once at a time');
    this.#stopping = false;
    // libuv says "something to do" while it has no handle at all; this one keeps it quiet.
    const keepAlive = setInterval(() => undefined, 0x7fff_ffff);
    return new Promise<void>((finish, fail) => {
      this.#running = { finish, fail };
      setImmediate(this.#turn);
    }).finally(() => {
      clearInterval(keepAlive);
      this.#running = undefined;
    });
  }

  /** Makes `run` return after the round that runs now. Deferred work and timers that are left stay for a later run. */
  stop(): void {
    this.#stopping = true;
  }

  /** Gives the epoll set back. Not while running. */
  close(): void {
    assert(this.#running === undefined, 'a reactor is closed after it ran');
    this.#epoll.close();
  }

  readonly #turn = (): void => {
    try {
      this.#runUntilHostIsDue();
    } catch (reason) {
      this.#running?.fail(reason);
      return;
    }
    if (this.#stopping) this.#running?.finish();
    else setImmediate(this.#turn);
  };

  #runUntilHostIsDue(): void {
    this.#ranCallbacks = false;
    const startedNs = monotonicNow();
    while (!this.#stopping) {
      const servedAny = this.#serveInline();
      const nowNs = monotonicNow();
      if (servedAny) this.#lastServiceNs = nowNs;
      this.#runTimers(nowNs);
      const isSpinning = nowNs - this.#lastServiceNs < SPIN_NS && this.#source !== undefined;
      let isHostDue: boolean;
      if (servedAny || isSpinning || this.#deferred.length > 0) {
        isHostDue = this.#dispatch(0) || nowNs - startedNs > MAX_BUSY_NS;
      } else {
        const hostDueNs = this.#ranCallbacks ? Nanoseconds(0) : this.#host.untilDueNs();
        isHostDue = this.#dispatch(this.#sleepMs(nowNs, hostDueNs)) || hostDueNs === 0;
      }
      // Before the host has its turn: one that is always busy would keep it waiting for ever.
      this.#runDeferred();
      if (isHostDue) return;
    }
  }

  #serveInline(): boolean {
    const source = this.#source;
    if (source === undefined) return false;
    let servedAny = false;
    for (let i = 0; i < SERVICES_PER_ROUND && source.service(); i++) {
      servedAny = true;
      this.#ranCallbacks = true;
      this.#runDeferred();
    }
    return servedAny;
  }

  #runTimers(nowNs: Nanoseconds): void {
    for (let timer: Timer | undefined; (timer = this.#timers.takeDue(nowNs)) !== undefined; ) {
      this.#ranCallbacks = true;
      timer.work();
    }
  }

  #runDeferred(): void {
    const works = this.#deferred;
    if (works.length === 0) return;
    this.#deferred = [];
    this.#ranCallbacks = true;
    for (const work of works) work();
  }

  /** How long to sleep: until the first timer, ours or the host's, rounded up so that it is due then. */
  #sleepMs(nowNs: Nanoseconds, hostDueNs: Nanoseconds): number {
    const sleepNs = Math.min(this.#timers.firstDueNs - nowNs, hostDueNs, MAX_SLEEP_NS);
    return Math.ceil(Math.max(sleepNs, 0) / 1e6);
  }

  /** Waits for descriptors and calls back. Returns whether the host's loop is to run: it is ready, or time passed. */
  #dispatch(timeoutMs: number): boolean {
    const readyCount = this.#epoll.wait(timeoutMs);
    if (readyCount < 0) {
      assert(readyCount === -ERRNO.EINTR, 'only a signal ends a wait for our own set early');
      return true;
    }
    let isHostReady = false;
    for (let i = 0; i < readyCount; i++) {
      const fd = this.#epoll.readyFd(i);
      if (fd === this.#host.fd) isHostReady = true;
      // A callback before may have cancelled this one; the inline source has none: the round begins with it.
      const readable = this.#callbacks.get(fd);
      if (readable === undefined) continue;
      this.#ranCallbacks = true;
      readable();
    }
    return isHostReady || (readyCount === 0 && timeoutMs > 0);
  }
}
