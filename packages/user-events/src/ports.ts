/**
 * What the domain needs from outside: other processes' memory, and work that is done later. The domain knows
 * neither clocks nor system calls.
 */

import type { Address, Nanoseconds, Tid, Uid } from '@usertrace/base';
import type { UserEvent } from './event.ts';

/** An address space that is held open. Made by a {@link MemoryPort}; the domain does not look inside. */
export type MemoryHandle = object;

/**
 * How a store into another process's memory went. The bit was `stored`; the word `faulted`: its page is not
 * mapped or not writable; the address space is `gone`: no task uses it any more; or it is `late`: its page
 * did not come in before the deadline, and the store was given up. A store that was given up has no effect
 * later; if that cannot be kept, for it hangs for good, every later store to its address space is late too.
 */
export type StoreOutcome = 'stored' | 'faulted' | 'gone' | 'late';

/** The memory of other processes. */
export interface MemoryPort {
  /**
   * Holds open the address space in which a task runs now, whatever becomes of the task.
   *
   * @param tid any of its tasks
   * @param uid the user who answers for what its pages do
   * @returns undefined when there is no such task, or it cannot be reached
   */
  open(tid: Tid, uid: Uid): MemoryHandle | undefined;
  /** Lets go of an address space; never called while one of its stores has not ended. */
  close(handle: MemoryHandle): void;
  /** False once no task uses the address space, after exec or exit. */
  isAlive(handle: MemoryHandle): boolean;
  /**
   * Sets or clears one bit of a word, leaving all others alone.
   *
   * @param address the word's address
   * @param bit which bit, from the least significant of the word; little endian, so byte `bit >> 3`
   * @param set the bit's new value
   * @param completed called once: not before this returns, and within a deadline. Until then the domain begins
   *   no other store to that 8-byte word
   */
  storeBit(
    handle: MemoryHandle,
    address: Address,
    bit: number,
    set: boolean,
    completed: (outcome: StoreOutcome) => void,
  ): void;
}

/** Work for later, on the same thread. */
export interface DeferredWork {
  /** Does work soon, after what is being done now. */
  defer(work: () => void): void;
  /** Does work after a while, unless it is cancelled. */
  after(delayNs: Nanoseconds, work: () => void): { cancel(): void };
}

/** Who asks. */
export interface Requester {
  readonly tid: Tid;
  readonly uid: Uid;
  /** Whether it has CAP_PERFMON or CAP_SYS_ADMIN; read only where that matters. */
  perfmonCapable(): boolean;
}

/** A trace instance that listens to events. */
export interface EventTracer {
  /**
   * Whether a payload would be recorded now. If no tracer would, a write succeeds unchecked, as in the
   * kernel with `tracing_on` 0.
   *
   * @param event which
   * @param payloadLength bytes behind the common fields
   */
  accepts(event: UserEvent, payloadLength: number): boolean;
  /**
   * Records an event.
   *
   * @param event which
   * @param pid the thread id of the writer
   * @param payload what was written behind the index; valid during the call only
   */
  record(event: UserEvent, pid: Tid, payload: Uint8Array): void;
}

/** Who wants to know about events coming and going: the file tree. */
export interface Observers {
  /** An event exists from now on. */
  added(event: UserEvent): void;
  /** An event does not exist any more. Buffers of tracers that ever listened to it are to be cleared... */
  removed(event: UserEvent): void;
  /** ...now: a command removed events by name, or looked for some. */
  clearRequested(): void;
}
