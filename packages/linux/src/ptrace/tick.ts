/**
 * A tick that ends a blocking wait of this thread: a POSIX timer that sends this thread a signal whose handler does nothing
 * and which does not restart system calls, so that waitpid(2) answers EINTR.
 *
 * waitpid(2) has no timeout, and a signal set with its own timeout (sigtimedwait(2) for SIGCHLD) would need a signal for
 * each stop, of which threads of V8 took a part: a third slower in the loop of 200,000 stops. The signal is blocked
 * except during `wait`, so that no other system call of this thread is ever interrupted. A tick that comes between the
 * unblocking and the wait is lost; the one after it is not.
 */
import { SIGNAL } from '@usertrace/abi';
import { checked, failure, libc, SYSTEM_CALL } from '../bindings.ts';

const CLOCK_MONOTONIC = 1;
const SIGEV_THREAD_ID = 4;
const SIG_BLOCK = 0;
const SIG_UNBLOCK = 1;
const SIGNAL_SET_BYTES = 8;
/** Searched downwards for one that nobody uses; below are those of glibc's own. */
const HIGHEST_SIGNAL = 64;
const LOWEST_SIGNAL = 40;

/** struct sigaction of the C library: handler, 128 bytes of mask, flags; padded to the size that may be written. */
const SIGACTION_BYTES = 256;

/** Structures given to the kernel are this large: smaller ones could move while it writes to them. */
const STRUCTURE_BYTES = 128;

function freeSignal(): number {
  const former = new DataView(new ArrayBuffer(SIGACTION_BYTES));
  for (let signal = HIGHEST_SIGNAL; signal >= LOWEST_SIGNAL; signal--) {
    if (libc().sigaction(signal, null, former) === 0 && former.getBigUint64(0, true) === 0n) return signal;
  }
  return LOWEST_SIGNAL;
}

/** The tick of the thread that makes it. Its owner closes it. */
export class Tick {
  readonly #signal = freeSignal();
  readonly #mask = new BigUint64Array(STRUCTURE_BYTES / 8);
  readonly #timer: number;
  readonly #interval = new DataView(new ArrayBuffer(STRUCTURE_BYTES));

  constructor() {
    // Any function of the C library that takes no harm from being called will do as the handler.
    const action = new DataView(new ArrayBuffer(SIGACTION_BYTES));
    action.setBigInt64(0, BigInt(libc().dlsym(null, 'getpid')), true);
    checked(libc().sigaction(this.#signal, action, null), 'handle the signal of a timer');
    this.#mask[0] = 1n << BigInt(this.#signal - 1);
    this.#block(SIG_BLOCK);
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

  /**
   * Begins to tick.
   *
   * @param intervalNs from one tick to the other, under a second; 0 ends it
   */
  set(intervalNs: number): void {
    this.#interval.setBigInt64(8, BigInt(intervalNs), true);
    this.#interval.setBigInt64(24, BigInt(intervalNs), true);
    const set = libc().syscall(SYSTEM_CALL.timer_settime, this.#timer, 0, this.#interval, 0, 0, 0);
    checked(set, 'set a timer');
  }

  /**
   * waitpid(2) that a tick may end.
   *
   * @param pid,status,options as of waitpid(2)
   * @returns its answer, or the negative error number: EINTR after a tick
   */
  wait(pid: number, status: number, options: number): number {
    this.#block(SIG_UNBLOCK);
    const answer = libc().waitpid(pid, status, options);
    const failed = answer < 0 ? failure(answer) : answer;
    this.#block(SIG_BLOCK);
    return failed;
  }

  /** Gives the timer back; the signal stays handled and blocked, as a late one may be pending. */
  close(): void {
    libc().syscall(SYSTEM_CALL.timer_delete, this.#timer, 0, 0, 0, 0, 0);
  }

  #block(how: number): void {
    libc().syscall(SYSTEM_CALL.rt_sigprocmask, how, this.#mask, 0, SIGNAL_SET_BYTES, 0, 0);
  }
}

/** SA_NOCLDSTOP, and where struct sigaction has its flags. */
const SA_NOCLDSTOP = 1;
const FLAGS_OFFSET = 136;

/**
 * Switches whether a stop of a child or tracee sends SIGCHLD (sigaction(2)); an end of one always does. The handler, libuv's,
 * stays.
 */
export function sendSignalAtStops(isWanted: boolean): void {
  const action = new DataView(new ArrayBuffer(SIGACTION_BYTES));
  if (libc().sigaction(SIGNAL.CHLD, null, action) !== 0) return;
  const flags = action.getInt32(FLAGS_OFFSET, true);
  action.setInt32(FLAGS_OFFSET, isWanted ? flags & ~SA_NOCLDSTOP : flags | SA_NOCLDSTOP, true);
  libc().sigaction(SIGNAL.CHLD, action, null);
}
