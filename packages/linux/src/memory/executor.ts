/**
 * Processes that access other processes' memory for the serving thread.
 *
 * Such an access can hang for ever, in a page that a userfaultfd or a stuck file system should bring, and only a
 * SIGKILL to the task that performs it ends that. A thread cannot be killed alone. So an executor is a process, made
 * by clone(2) with CLONE_VM|CLONE_FS|CLONE_FILES: it sees our memory and descriptors, costs about as much as a
 * thread, and can be killed. It cannot run anything that uses the C library, whose thread-local storage it would
 * share with the serving thread; machine-code.ts has what it runs.
 *
 * Its exit signal is 0: libuv, which waits for children that send SIGCHLD, never sees it. All signals are blocked in
 * it, so that it never runs a handler of Node's. It dies with the thread that made it (PR_SET_PDEATHSIG), also when
 * that is killed with SIGKILL.
 */
import { readFileSync } from 'node:fs';
import { checked, libc, SYSTEM_CALL } from '../bindings.ts';
import { monotonicNow } from '../clock.ts';
import { Arena } from './arena.ts';
import type { Operation } from './operation.ts';

const CLONE_VM_FS_FILES = 0x100 | 0x200 | 0x400;
const WNOHANG_WALL = 1 | 0x40000000;
const SIGKILL = 9;
const SIG_SETMASK = 2;
const SIGNAL_SET_BYTES = 8;
const FUTEX_WAKE_PRIVATE = 1 | 128;

/** A killed task that has a CPU is gone in microseconds. So long it is waited for. */
const DEATH_NS = 200_000;

/**
 * Executors that do not die, because an access cannot be killed: it waits for a page of a file system that does not
 * answer. Each costs some 40 KiB. An address space gets to hold one; with so many in all, no other is started.
 */
const MAX_UNDEAD = 1024;

/** A running executor. `Executors` makes and kills it. */
export class Executor {
  readonly arena: Arena;
  readonly pid: number;

  constructor(arena: Arena) {
    this.arena = arena;
    arena.reset();
    const all = new Uint8Array(SIGNAL_SET_BYTES).fill(0xff);
    const former = new Uint8Array(SIGNAL_SET_BYTES);
    const setMask = (wanted: Uint8Array, before: Uint8Array | null): number =>
      libc().syscall(SYSTEM_CALL.rt_sigprocmask, SIG_SETMASK, wanted, before, SIGNAL_SET_BYTES, 0, 0);
    checked(setMask(all, former), 'block signals');
    try {
      this.pid = checked(
        libc().clone(arena.entry, arena.stackTop, CLONE_VM_FS_FILES, arena.control),
        'start an executor for memory accesses',
      );
    } finally {
      setMask(former, null);
    }
  }

  /** How many operations are submitted and not completed. */
  get inFlight(): number {
    return (this.arena.submitted - this.arena.completed) >>> 0;
  }

  /** Submits an operation; `wake` makes it begin. */
  submit(operation: Operation): void {
    this.arena.submit(operation);
  }

  wake(): void {
    libc().syscall(SYSTEM_CALL.futex, this.arena.control, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
  }

  /**
   * Whether it could go on and only waits for a CPU: then it hangs in no access. The answer comes from
   * /proc/PID/stat, see proc_pid_stat(5).
   */
  isRunnable(): boolean {
    try {
      const stat = readFileSync(`/proc/${this.pid}/stat`, 'latin1');
      return stat.charAt(stat.lastIndexOf(')') + 2) === 'R';
    } catch {
      return false;
    }
  }

  /** Collects the exit status if it is dead. */
  reap(): boolean {
    return libc().waitpid(this.pid, null, WNOHANG_WALL) !== 0;
  }
}

/** The executors of a process and the arenas that are free. */
export class Executors {
  readonly #completionFd: number;
  readonly #alive = new Set<Executor>();
  readonly #undead = new Set<Executor>();
  readonly #freeArenas: Arena[] = [];

  /** @param completionFd the eventfd that all of them signal */
  constructor(completionFd: number) {
    this.#completionFd = completionFd;
  }

  /** Starts one, or answers undefined: too many are held by accesses that cannot be killed. */
  start(): Executor | undefined {
    this.#bury();
    if (this.#undead.size >= MAX_UNDEAD) return undefined;
    const executor = new Executor(this.#freeArenas.pop() ?? new Arena(this.#completionFd));
    this.#alive.add(executor);
    return executor;
  }

  /** Kills one. `isDead` tells whether it is dead yet: it may lack a CPU, or be in an access that cannot be killed. */
  kill(executor: Executor): void {
    this.#alive.delete(executor);
    this.#undead.add(executor);
    libc().kill(executor.pid, SIGKILL);
    const givenUpNs = monotonicNow() + DEATH_NS;
    while (!this.isDead(executor) && monotonicNow() < givenUpNs);
  }

  /** Whether a killed executor is dead: then its access has ended. */
  isDead(executor: Executor): boolean {
    this.#bury();
    return !this.#undead.has(executor);
  }

  /** Kills all, and gives their memory back. */
  dispose(): void {
    for (const executor of this.#alive) this.kill(executor);
    this.#bury();
    for (const arena of this.#freeArenas) arena.release();
    this.#freeArenas.length = 0;
  }

  #bury(): void {
    for (const executor of this.#undead) {
      if (!executor.reap()) continue;
      this.#undead.delete(executor);
      this.#freeArenas.push(executor.arena);
    }
  }
}
