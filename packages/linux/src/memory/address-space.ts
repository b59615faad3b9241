/**
 * A handle on the memory of a task: the descriptors that pin its address space, and what is known of its manners.
 *
 * An open /proc/TID/mem refers to the address space (struct mm_struct) that the task had at open, not to the task:
 * after exec or exit nothing can be read or written through it any more, so it never reaches another image.
 */
import { assert, type Nanoseconds, type Tid, type Uid } from '@usertrace/base';
import { libc } from '../bindings.ts';
import { monotonicNow } from '../clock.ts';
import { closeDescriptor, O, openDescriptor } from '../descriptor.ts';
import type { UserConduct } from './user-conduct.ts';

/** An address space in which an access hung is not trusted for so long. */
export const SUSPICION_NS = 10_000_000_000;

/** An open address space. RemoteMemory makes and closes it. */
export class AddressSpace {
  /** The task that it was opened by. */
  readonly tid: Tid;
  /** Who answers for what its pages do. */
  readonly uid: Uid;
  readonly memFd: number;
  readonly mapsFd: number;
  /** The record that its hangs are in, once there were any. */
  conduct: UserConduct | undefined;
  #isClosed = false;
  #isForsaken = false;
  #pending = 0;
  #suspectUntilNs: number = -Infinity;
  #suspectOperations = 0;

  private constructor(tid: Tid, uid: Uid, memFd: number, mapsFd: number) {
    this.tid = tid;
    this.uid = uid;
    this.memFd = memFd;
    this.mapsFd = mapsFd;
  }

  /**
   * Opens the address space that a task has now.
   *
   * @param tid the task
   * @param uid the user who answers for what its pages do
   * @returns undefined when the task is gone or may not be accessed, or no descriptor is left
   */
  static open(tid: Tid, uid: Uid): AddressSpace | undefined {
    const memFd = openDescriptor(`/proc/${tid}/mem`, O.RDWR);
    if (memFd < 0) return undefined;
    // Should the task exec in between, the memory opened first is gone, and nothing is done to either.
    const mapsFd = openDescriptor(`/proc/${tid}/maps`, O.RDONLY);
    if (mapsFd < 0) {
      closeDescriptor(memFd);
      return undefined;
    }
    return new AddressSpace(tid, uid, memFd, mapsFd);
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /**
   * Whether some task still runs in it. Never waits: the kernel copies what is to be written from our memory, here
   * from an address where none is, before it looks at theirs, and answers EFAULT; without an address space, 0.
   */
  isAlive(): boolean {
    return !this.#isClosed && libc().pwrite(this.memFd, null, 1, 0) !== 0;
  }

  /** An operation that uses the descriptors begins. */
  hold(): void {
    this.#pending += 1;
  }

  /** An operation ended. */
  letGo(): void {
    this.#pending -= 1;
    this.#closeIfUnused();
  }

  /** Closes the descriptors once no operation uses them. */
  close(): void {
    assert(!this.#isClosed, 'an address space is closed once');
    this.#isClosed = true;
    this.#closeIfUnused();
  }

  /** Whether its operations should be kept apart from others', because one hung or such are still waiting. */
  get isSuspect(): boolean {
    return this.#suspectOperations > 0 || this.#suspectUntilNs > monotonicNow();
  }

  /** An access hung: what is done here until then is kept apart. */
  suspect(untilNs: Nanoseconds): void {
    this.#suspectUntilNs = untilNs;
  }

  /** Whether an access that cannot be ended holds an executor: no other may be tried. */
  get isForsaken(): boolean {
    return this.#isForsaken;
  }

  forsake(): void {
    this.#isForsaken = true;
  }

  /** An operation of it was put aside with the suspect ones: those that come later must come behind it. */
  holdSuspect(): void {
    this.#suspectOperations += 1;
  }

  letGoSuspect(): void {
    this.#suspectOperations -= 1;
  }

  #closeIfUnused(): void {
    if (!this.#isClosed || this.#pending > 0) return;
    closeDescriptor(this.memFd);
    closeDescriptor(this.mapsFd);
  }
}
