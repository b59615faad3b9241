/**
 * Brings the stops and deaths of traced tasks to the thread that traces them, which runs Node's event loop too.
 *
 * Waiting is waitpid(-1, __WCLONE): since Linux 4.7 a traced task is waited for whatever the options, so that this finds all
 * tracees and, of children that are not traced, only those whose exit signal is not SIGCHLD. libuv's children are left
 * to libuv. (The executors of ../memory have exit signal 0; their owner takes ECHILD for their death.)
 *
 * While tasks run and stop, the thread asks for the next stop for a moment (poller.ts) and then sleeps in waitpid(2) itself: that
 * costs what it costs strace. A tick ends the sleep after TICK_NS; a tick without a stop, or MAX_BUSY_NS of work, lets Node's loop run. Otherwise SIGCHLD wakes the
 * thread through Node's loop, and a slow clock stands by. So long as the thread comes back at once, stops send no SIGCHLD: each
 * would cost its handler, a write to libuv's pipe, and the reading of that.
 */
import { isMainThread } from 'node:worker_threads';
import { WAIT_OPTION } from '@usertrace/abi';
import { assert, ERRNO } from '@usertrace/base';
import { addressOf, failure, libc } from '../bindings.ts';
import { monotonicNow } from '../clock.ts';
import { Poller } from './poller.ts';
import { sendSignalAtStops, Tick } from './tick.ts';

/** Each tick wakes this thread, on a virtual machine for 20 µs and more: with 0.4 ms it took a fifth of its time. */
const TICK_NS = 10_000_000;
/** Node's loop waits so long at most while tasks stop one after the other; a round of it costs some 200 µs, and caches. */
const MAX_BUSY_NS = 30_000_000;
/** So often it is looked without a signal; a worker thread gets no signals and looks more often. */
const STANDBY_MS = 250;
const WORKER_STANDBY_MS = 2;

/** Who is told of stops and deaths. */
export interface StopListener {
  /**
   * A task stopped or died.
   *
   * @param tid its thread id
   * @param status as of waitpid(2)
   */
  handle(tid: number, status: number): void;
  /** Called a few times a second while there are tasks. */
  lookAgain(): void;
  /** Whether a task runs, so that it makes sense to sleep until it stops, and this thread may. */
  hasRunningTasks(): boolean;
  /** Whether promises should be continued before other stops are brought; it answers so once. */
  takeYield(): boolean;
}

/** Waits for the tracees of the thread that makes it. Its owner closes it. */
export class StopWaiter {
  readonly #listener: StopListener;
  readonly #tick = new Tick(TICK_NS);
  readonly #libc = libc();
  readonly #poller = new Poller(() => this.#stopOfAny());
  readonly #status = new Int32Array(32);
  readonly #statusAddress = addressOf(this.#status);
  /** What others waited for and was not theirs. */
  readonly #handedBack: { tid: number; status: number }[] = [];
  #standby: NodeJS.Timeout | undefined;
  /** Between `start` and `stop`: what is told outside of that may be another waiter's of this thread. */
  #isWatching = false;
  #scheduled: NodeJS.Immediate | undefined;
  #isPumping = false;
  #sendsSignals = true;
  /** libuv calls this for each signal until none is left, so that stops are brought after that: they make more signals. */
  readonly #wake = (): void => this.#schedule();
  readonly #look = (): void => {
    this.#listener.lookAgain();
    this.#schedule();
  };
  readonly #turn = (): void => {
    this.#scheduled = undefined;
    this.#pump();
  };

  constructor(listener: StopListener) {
    this.#listener = listener;
  }

  /** Begins to bring stops, and keeps Node's loop alive; again to be called when new tasks run. */
  start(): void {
    if (!this.#isWatching) {
      this.stop();
      this.#isWatching = true;
      if (isMainThread) process.on('SIGCHLD', this.#wake);
      this.#standby = setInterval(this.#look, isMainThread ? STANDBY_MS : WORKER_STANDBY_MS);
    }
    this.#schedule();
  }

  /** Ends it: there is nothing left to wait for, and nothing is brought from now on. */
  stop(): void {
    clearInterval(this.#standby);
    clearImmediate(this.#scheduled);
    this.#standby = undefined;
    this.#scheduled = undefined;
    this.#isWatching = false;
    this.#sendSignals(true);
    if (isMainThread) process.off('SIGCHLD', this.#wake);
  }

  /**
   * Brings the ends of dead tasks alone from now on, so that another waiter of this thread is not disturbed, and does not keep
   * Node's loop alive for that. `stop` ends it.
   *
   * @param bring called a few times a second
   */
  linger(bring: () => void): void {
    this.stop();
    this.#standby = setInterval(bring, STANDBY_MS).unref();
  }

  /** Brings what has happened already; nothing while that is being done. */
  bring(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    try {
      this.#bringWaiting();
    } finally {
      this.#isPumping = false;
    }
    this.#schedule();
  }

  /** Brings something that another wait found. */
  handBack(tid: number, status: number): void {
    this.#handedBack.push({ tid, status });
    this.#schedule();
  }

  /**
   * Waits for one task, and sleeps for it.
   *
   * @param tid whom to wait for
   * @param deadlineMs so long at most
   * @returns the status; or the negative error number, EAGAIN when nothing happened in time
   */
  waitFor(tid: number, deadlineMs: number): number {
    const deadlineNs = monotonicNow() + deadlineMs * 1e6;
    this.#tick.begin();
    try {
      for (;;) {
        const answer = this.#tick.wait(tid, this.#statusAddress, WAIT_OPTION.ALL);
        if (answer === tid) return this.#status[0] as number;
        if (answer !== -ERRNO.EINTR) return answer;
        if (monotonicNow() > deadlineNs) return -ERRNO.EAGAIN;
      }
    } finally {
      this.#tick.end();
    }
  }

  /** @throws nothing; not while pumping */
  close(): void {
    assert(!this.#isPumping, 'a waiter is closed between stops');
    this.stop();
    this.#tick.close();
  }

  #schedule(): void {
    if (!this.#isWatching || this.#scheduled !== undefined || this.#isPumping) return;
    this.#scheduled = setImmediate(this.#turn);
  }

  #pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    let isUnfinished = false;
    try {
      isUnfinished = this.#pumpForAWhile();
    } finally {
      this.#isPumping = false;
    }
    if (isUnfinished) this.#schedule();
  }

  /** Returns whether more is to be expected soon. */
  #pumpForAWhile(): boolean {
    const listener = this.#listener;
    this.#bringHandedBack();
    if (listener.takeYield()) return true;
    let isBusy = false;
    try {
      isBusy = listener.hasRunningTasks() && this.#sleepThroughStops();
    } finally {
      if (!isBusy) this.#sendSignals(true);
    }
    if (isBusy) return true;
    // A stop that came before signals were sent again has sent none.
    const hasBrought = this.#bringWaiting();
    return listener.takeYield() || hasBrought;
  }

  /** Brings stops as they come. Returns whether more is to be expected soon. */
  #sleepThroughStops(): boolean {
    const listener = this.#listener;
    const startedNs = monotonicNow();
    let untilLook = LOOKS_APART;
    let hasStopped = true;
    this.#sendSignals(false);
    this.#tick.begin();
    try {
      for (;;) {
        const polled = this.#poller.poll();
        const tid = polled !== 0 ? polled : this.#tick.wait(-1, this.#statusAddress, WAIT_OPTION.CLONE);
        if (tid > 0) {
          hasStopped = true;
          listener.handle(tid, this.#status[0] as number);
          if (!this.#isWatching) return false;
          if (listener.takeYield()) return true;
          if (--untilLook > 0) continue;
          untilLook = LOOKS_APART;
        } else if (tid === -ERRNO.EINTR) {
          if (!hasStopped) return false;
          hasStopped = false;
        } else {
          return false;
        }
        if (monotonicNow() - startedNs > MAX_BUSY_NS) return true;
        if (!listener.hasRunningTasks()) return false;
      }
    } finally {
      this.#tick.end();
    }
  }

  #sendSignals(isWanted: boolean): void {
    if (this.#sendsSignals === isWanted || !isMainThread) return;
    this.#sendsSignals = isWanted;
    sendSignalAtStops(isWanted);
  }

  #bringHandedBack(): void {
    for (let one; (one = this.#handedBack.shift()) !== undefined; )
      this.#listener.handle(one.tid, one.status);
  }

  /** Brings what has happened already. Returns whether there was anything. */
  #bringWaiting(): boolean {
    this.#bringHandedBack();
    let count = 0;
    while (this.#isWatching && count < MAX_WITHOUT_PAUSE) {
      const tid = this.#stopOfAny();
      if (tid === -ERRNO.EINTR) continue;
      if (tid <= 0) break;
      this.#listener.handle(tid, this.#status[0] as number);
      count += 1;
    }
    return count > 0;
  }

  /** Whom something has happened to; 0 when nothing has, or the negative error number. */
  #stopOfAny(): number {
    const tid = this.#libc.waitpid(-1, this.#statusAddress, WAIT_OPTION.CLONE | WAIT_OPTION.NOHANG);
    return tid < 0 ? failure(tid) : tid;
  }
}

/** Stops between two looks at the clock. */
const LOOKS_APART = 64;
/** Stops that are brought at once before the clock counts. */
const MAX_WITHOUT_PAUSE = 256;
