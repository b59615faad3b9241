/**
 * Processes that access other processes' memory for the serving thread.
 *
 * Such an access can hang for ever, in a page that a userfaultfd or a stuck file system should bring, and only a
 * SIGKILL to the task that performs it ends that. A thread cannot be killed alone. So an executor is a process, made
 * by clone(2) with CLONE_VM|CLONE_FS: it sees our memory, costs about as much as a thread, and can be killed. It cannot
 * run anything that uses the C library, whose thread-local storage it would share with the serving thread;
 * machine-code.ts has what it runs.
 *
 * Its table of descriptors is its own, and holds the eventfd, a socket, and the address spaces' descriptors that it got
 * over that (descriptor-passing.ts): an executor that even SIGKILL does not end lives longer than a killed server, and
 * must not keep /dev/fuse open, because then the programs that use the server's tree would wait for ever.
 *
 * Its exit signal is 0: libuv, which waits for children that send SIGCHLD, never sees it. All signals are blocked in
 * it, so that it never runs a handler of Node's. It dies with the thread that made it (PR_SET_PDEATHSIG), also when
 * that is killed with SIGKILL.
 */
import { readFileSync } from 'node:fs';
import { ErrnoError } from '@usertrace/base';
import { checked, libc, SYSTEM_CALL } from '../bindings.ts';
import { monotonicNow } from '../clock.ts';
import { descriptorLimit } from '../descriptor.ts';
import { Arena, HANDLES } from './arena.ts';
import { type DescriptorRange, rangesAround, SocketPlace } from './descriptor-passing.ts';
import type { Access } from './operation.ts';

const CLONE_VM_FS = 0x100 | 0x200;
const CLONE_FILES = 0x400;
const WNOHANG_WALL = 1 | 0x40000000;
const SIGKILL = 9;
const SIG_SETMASK = 2;
const SIGNAL_SET_BYTES = 8;
const FUTEX_WAKE_PRIVATE = 1 | 128;

/** A killed task that has a CPU is gone in microseconds. So long it is waited for. */
const DEATH_NS = 200_000;

/**
 * Executors that do not die, because an access cannot be killed: it waits for a page of a file system that does not
 * answer. An address space gets to hold one, a user some (user-conduct.ts); with so many in all, no other is started.
 */
const MAX_UNDEAD = 1024;

/** Killed executors that are looked at when another is started: each look costs 0.3 µs. */
const BURIALS_PER_START = 8;

/** A running executor. `Executors` makes and kills it. */
export class Executor {
  readonly arena: Arena;
  readonly place: SocketPlace;
  readonly pid: number;
  /** Whose descriptors its handles have, and which handle that is. */
  readonly #handleBySpace = new Map<Access['space'], number>();
  readonly #spaceByHandle: (Access['space'] | undefined)[] = [];
  #oldestHandle = 0;
  readonly #handles: number;

  /**
   * @param place where its socket will be
   * @param ranges of descriptors to be closed in a table of its own; without any it gets a copy of all
   */
  constructor(arena: Arena, place: SocketPlace, ranges: readonly DescriptorRange[]) {
    this.arena = arena;
    this.place = place;
    this.#handles = Math.min(HANDLES, Math.max(1, Math.floor(descriptorLimit() / 4)));
    place.fill();
    arena.reset(place.receiver, ranges);
    const all = new Uint8Array(SIGNAL_SET_BYTES).fill(0xff);
    const former = new Uint8Array(SIGNAL_SET_BYTES);
    const setMask = (wanted: Uint8Array, before: Uint8Array | null): number =>
      libc().syscall(SYSTEM_CALL.rt_sigprocmask, SIG_SETMASK, wanted, before, SIGNAL_SET_BYTES, 0, 0);
    // Sharing the table until the executor leaves it spares the kernel the copying of a large one.
    const flags = ranges.length > 0 ? CLONE_VM_FS | CLONE_FILES : CLONE_VM_FS;
    checked(setMask(all, former), 'block signals');
    try {
      this.pid = checked(
        libc().clone(arena.entry, arena.stackTop, flags, arena.control),
        'start an executor for memory accesses',
      );
    } catch (error) {
      place.empty();
      throw error;
    } finally {
      setMask(former, null);
    }
  }

  /** How many operations are submitted and not completed. */
  get inFlight(): number {
    return (this.arena.submitted - this.arena.completed) >>> 0;
  }

  /**
   * Submits an operation; `wake` makes it begin.
   *
   * @returns false when the socket is full: then others have to be completed first
   */
  submit(operation: Access): boolean {
    const known = this.#handleBySpace.get(operation.space);
    if (known === undefined && !this.place.send(operation.space.memFd, operation.space.mapsFd)) return false;
    this.arena.submit(operation, known ?? this.#newHandle(operation.space), known === undefined);
    return true;
  }

  /** The descriptors of an address space did not arrive: they have to be passed on again. */
  forget(space: Access['space']): void {
    this.#handleBySpace.delete(space);
  }

  wake(): void {
    libc().syscall(SYSTEM_CALL.futex, this.arena.control, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
  }

  /** Whether it could go on and only waits for a CPU: then it hangs in no access. */
  isRunnable(): boolean {
    return this.#state() === 'R';
  }

  /** Whether one that was killed hangs in no access: it lacks a CPU, or it is dead and its tracer has not noticed yet. */
  isEnding(): boolean {
    return 'RZX'.includes(this.#state());
  }

  /** It gets no more operations. */
  retire(): void {
    this.place.empty();
    this.#handleBySpace.clear();
    this.#spaceByHandle.length = 0;
  }

  /** Collects the exit status if it is dead. */
  reap(): boolean {
    return libc().waitpid(this.pid, null, WNOHANG_WALL) !== 0;
  }

  /** See proc_pid_stat(5). */
  #state(): string {
    try {
      const stat = readFileSync(`/proc/${this.pid}/stat`, 'latin1');
      return stat.charAt(stat.lastIndexOf(')') + 2);
    } catch {
      return 'X';
    }
  }

  /** The handle for an address space that has none: the one that was given out first. */
  #newHandle(space: Access['space']): number {
    const handle = this.#oldestHandle;
    this.#oldestHandle = (handle + 1) % this.#handles;
    const former = this.#spaceByHandle[handle];
    if (former !== undefined && this.#handleBySpace.get(former) === handle)
      this.#handleBySpace.delete(former);
    this.#spaceByHandle[handle] = space;
    this.#handleBySpace.set(space, handle);
    return handle;
  }
}

/** What can be switched off, to test what stands in for it. */
export interface ExecutorsOptions {
  /** Whether to use close_range(2), since Linux 5.9; found out if left out. */
  readonly hasCloseRange?: boolean;
}

/** The executors of a process and the arenas that are free. */
export class Executors {
  readonly #completionFd: number;
  readonly #hasCloseRange: boolean;
  readonly #alive = new Set<Executor>();
  readonly #undead = new Set<Executor>();
  readonly #freeArenas: Arena[] = [];
  readonly #freePlaces: SocketPlace[] = [];

  /**
   * @param completionFd the eventfd that all of them signal
   * @param maxAlive how many may run at a time, those that were killed not counted
   */
  constructor(completionFd: number, maxAlive: number, options: ExecutorsOptions = {}) {
    this.#completionFd = completionFd;
    this.#hasCloseRange = options.hasCloseRange ?? hasCloseRange();
    for (let i = 0; i < maxAlive; i++) this.#freePlaces.push(new SocketPlace(completionFd));
  }

  /**
   * Starts one, or answers undefined: too many are held by accesses that cannot be killed, or the system has no process,
   * memory or descriptor left.
   */
  start(): Executor | undefined {
    this.#buryOldest();
    if (this.#undead.size >= MAX_UNDEAD) return undefined;
    const place = this.#freePlaces.pop();
    if (place === undefined) return undefined;
    let arena = this.#freeArenas.pop();
    try {
      arena ??= new Arena(this.#completionFd);
      const ranges = this.#hasCloseRange ? rangesAround(this.#completionFd, place.receiver) : [];
      const executor = new Executor(arena, place, ranges);
      this.#alive.add(executor);
      return executor;
    } catch (error) {
      if (!(error instanceof ErrnoError)) throw error;
      this.#freePlaces.push(place);
      if (arena !== undefined) this.#freeArenas.push(arena);
      return undefined;
    }
  }

  /** Kills one. `isDead` tells whether it is dead yet: it may lack a CPU, or be in an access that cannot be killed. */
  kill(executor: Executor): void {
    this.#alive.delete(executor);
    this.#undead.add(executor);
    libc().kill(executor.pid, SIGKILL);
    executor.retire();
    this.#freePlaces.push(executor.place);
    const givenUpNs = monotonicNow() + DEATH_NS;
    while (!this.isDead(executor) && monotonicNow() < givenUpNs);
  }

  /** Whether a killed executor is dead: then its access has ended. */
  isDead(executor: Executor): boolean {
    if (!this.#undead.has(executor)) return true;
    if (!executor.reap()) return false;
    this.#undead.delete(executor);
    this.#freeArenas.push(executor.arena);
    return true;
  }

  /** Kills all, and gives back what they had. What those have that are not dead then is never given back. */
  dispose(): void {
    for (const executor of this.#alive) this.kill(executor);
    for (const executor of this.#undead) this.isDead(executor);
    for (const arena of this.#freeArenas) arena.release();
    this.#freeArenas.length = 0;
    for (const place of this.#freePlaces.splice(0)) place.close();
  }

  /** Collects a few of those that died since; the others' turn comes. */
  #buryOldest(): void {
    let looks = BURIALS_PER_START;
    for (const executor of this.#undead) {
      if (looks-- === 0) return;
      if (this.isDead(executor)) continue;
      // The set keeps the order in which they were put in.
      this.#undead.delete(executor);
      this.#undead.add(executor);
    }
  }
}

/** Whether the kernel lets us close a range of descriptors, tried with one in which there are none. */
function hasCloseRange(): boolean {
  return libc().syscall(SYSTEM_CALL.close_range, 0xffff_ffff, 0xffff_ffff, 0, 0, 0, 0) === 0;
}
