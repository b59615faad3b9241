/**
 * A tick that ends a blocking wait of this thread: a POSIX timer that sends this thread a signal whose handler does nothing
 * and which does not restart system calls, so that waitpid(2) answers EINTR.
 *
 * waitpid(2) has no timeout, and a signal set with its own timeout (sigtimedwait(2) for SIGCHLD) would need a signal for
 * each stop, of which threads of V8 took a part: a third slower in the loop of 200,000 stops. The signal is blocked except
 * between `begin` and `end`: to block it between one wait and the next took two system calls more for each stop. So a tick may
 * interrupt what is called there besides, if that sleeps; one that comes outside of a wait is lost, and the one after it is not.
 */
import { SIGNAL } from '@usertrace/abi';
import { assert } from '@usertrace/base';
import { addressOf, checked, failure, libc, SYSTEM_CALL } from '../bindings.ts';

const CLOCK_MONOTONIC = 1;
const SIGEV_THREAD_ID = 4;
const SIG_BLOCK = 0;
const SIG_UNBLOCK = 1;
/** Searched downwards for one that nobody uses; below are those of glibc's own. */
const HIGHEST_SIGNAL = 64;
const LOWEST_SIGNAL = 40;

/** struct sigaction of the C library: handler, 128 bytes of mask, flags; padded to the size that may be written. */
const SIGACTION_BYTES = 256;

/** Structures given to the kernel are this large: smaller ones could move while it writes to them. */
const STRUCTURE_BYTES = 128;

/** One for all ticks of a thread: each stays handled for ever. */
let tickSignal: number | undefined;

function freeSignal(): number {
  const former = new DataView(new ArrayBuffer(SIGACTION_BYTES));
  for (let signal = HIGHEST_SIGNAL; signal >= LOWEST_SIGNAL; signal--) {
    if (libc().sigaction(signal, null, former) === 0 && former.getBigUint64(0, true) === 0n) return signal;
  }
  return LOWEST_SIGNAL;
}

/** The tick of the thread that makes it. Its owner closes it. */
export class Tick {
  readonly #libc = libc();
  readonly #signal = (tickSignal ??= freeSignal());
  /** How many want it to tick: a wait for one task may be made while all are waited for. */
  #userCount = 0;
  readonly #mask = new BigUint64Array(STRUCTURE_BYTES / 8);
  readonly #maskAddress = addressOf(this.#mask);
  readonly #timer: number;
  /** struct itimerspec: the interval, and the time to the first tick; in each seconds and nanoseconds. */
  readonly #ticking = new BigInt64Array(STRUCTURE_BYTES / 8);
  readonly #still = new BigInt64Array(STRUCTURE_BYTES / 8);

  /** @param intervalNs from one tick to the other, under a second */
  constructor(intervalNs: number) {
    this.#ticking[1] = BigInt(intervalNs);
    this.#ticking[3] = BigInt(intervalNs);
    // Any function of the C library that takes no harm from being called will do as the handler.
    const action = new DataView(new ArrayBuffer(SIGACTION_BYTES));
    action.setBigInt64(0, BigInt(libc().dlsym(null, 'getpid')), true);
    checked(libc().sigaction(this.#signal, action, null), 'handle the signal of a timer');
    this.#mask[0] = 1n << BigInt(this.#signal - 1);
    this.#libc.pthread_sigmask(SIG_BLOCK, this.#maskAddress, null);
    // struct sigevent: value, signal, kind, thread.
    const event = new DataView(new ArrayBuffer(STRUCTURE_BYTES));
    event.setInt32(8, this.#signal, true);
    event.setInt32(12, SIGEV_THREAD_ID, true);
    event.setInt32(16, libc().syscall(SYSTEM_CALL.gettid, 0, 0, 0, 0, 0, 0), true);
    const timer = new Int32Array(STRUCTURE_BYTES / 4);
    const made = libc().syscall(SYSTEM_CALL.timer_create, CLOCK_MONOTONIC, event, timer, 0, 0, 0);
    checked(made, 'make a timer');
    this.#timer = timer[0] as number;
  }

  /** Begins to tick, until `end` was called as often. */
  begin(): void {
    this.#userCount += 1;
    if (this.#userCount > 1) return;
    this.#set(this.#ticking);
    this.#libc.pthread_sigmask(SIG_UNBLOCK, this.#maskAddress, null);
  }

  /** Ends what one `begin` began. */
  end(): void {
    assert(this.#userCount > 0, 'a tick ends once for each beginning');
    this.#userCount -= 1;
    if (this.#userCount > 0) return;
    this.#libc.pthread_sigmask(SIG_BLOCK, this.#maskAddress, null);
    this.#set(this.#still);
  }

  /**
   * waitpid(2) that a tick ends; between `begin` and `end`.
   *
   * @param pid,status,options as of waitpid(2)
   * @returns its answer, or the negative error number: EINTR after a tick
   */
  wait(pid: number, status: number, options: number): number {
    const answer = this.#libc.waitpid(pid, status, options);
    return answer < 0 ? failure(answer) : answer;
  }

  /** Gives the timer back; the signal stays handled and blocked, as a late one may be pending. */
  close(): void {
    libc().syscall(SYSTEM_CALL.timer_delete, this.#timer, 0, 0, 0, 0, 0);
  }

  #set(times: BigInt64Array): void {
    const set = libc().syscall(SYSTEM_CALL.timer_settime, this.#timer, 0, times, 0, 0, 0);
    checked(set, 'set a timer');
  }
}

/** SA_NOCLDSTOP, and where struct sigaction has its flags. */
const SA_NOCLDSTOP = 1;
const FLAGS_OFFSET = 136;

const childAction = new DataView(new ArrayBuffer(SIGACTION_BYTES));

/**
 * Switches whether a stop of a child or tracee sends SIGCHLD (sigaction(2)); an end of one always does. The handler, libuv's,
 * stays.
 */
export function sendSignalAtStops(isWanted: boolean): void {
  const action = childAction;
  if (libc().sigaction(SIGNAL.CHLD, null, action) !== 0) return;
  const flags = action.getInt32(FLAGS_OFFSET, true);
  action.setInt32(FLAGS_OFFSET, isWanted ? flags & ~SA_NOCLDSTOP : flags | SA_NOCLDSTOP, true);
  libc().sigaction(SIGNAL.CHLD, action, null);
}
