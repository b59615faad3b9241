/**
 * Calls of probed functions that have not returned, in one address space: for functions whose returns are not known from their
 * code. A frame is told by where its return address stands on the stack. Nothing of it is changed: the call is over when a thread
 * comes to that return address with the stack pointer just above.
 *
 * A frame that vanished (longjmp, an exception, the end of its thread) is dropped: when its thread comes to a frame above it, when
 * another call has its return address at the same place, and when there are too many.
 */

/** Of all threads of a process; the oldest is dropped for one more. */
export const FRAMES_MAX = 4_096;
/** A frame farther below than this may be on another stack, which its thread has left for a while: a signal's, a coroutine's. */
const SAME_STACK_BYTES = 262_144;
const WORD_BYTES = 8;

/** One call. */
export interface CallFrame<Call> {
  /** The thread that made it. */
  readonly tid: number;
  /** Where its return address stands. */
  readonly stackAddress: number;
  readonly returnAddress: number;
  readonly call: Call;
}

/** The calls of one address space; `Call` tells which function. */
export class CallFrames<Call> {
  /** By the return address's place, the oldest first; of several calls in one place each was jumped to by the one before. */
  readonly #byStackAddress = new Map<number, CallFrame<Call>[]>();

  get size(): number {
    return this.#byStackAddress.size;
  }

  /** Those of a fork's child. */
  fork(): CallFrames<Call> {
    const child = new CallFrames<Call>();
    for (const [address, frames] of this.#byStackAddress) child.#byStackAddress.set(address, [...frames]);
    return child;
  }

  /**
   * A thread is at a function's first instruction.
   *
   * @returns frames that had to make room
   */
  open(frame: CallFrame<Call>): readonly CallFrame<Call>[] {
    this.#dropBelow(frame.tid, frame.stackAddress);
    const there = this.#byStackAddress.get(frame.stackAddress) ?? [];
    // What was called there before and did not return went without; so did a call of the same function.
    const same = there.findIndex(({ call }) => call === frame.call);
    const before = there.filter(
      ({ returnAddress }, index) => returnAddress === frame.returnAddress && (same < 0 || index < same),
    );
    this.#byStackAddress.delete(frame.stackAddress);
    this.#byStackAddress.set(frame.stackAddress, [...before, frame]);
    if (this.#byStackAddress.size <= FRAMES_MAX) return [];
    const [oldest] = this.#byStackAddress.keys();
    const dropped = this.#byStackAddress.get(oldest ?? 0) ?? [];
    this.#byStackAddress.delete(oldest ?? 0);
    return dropped;
  }

  /**
   * A thread is at a return address.
   *
   * @returns the calls that are over by that, the last one first; none when it came there otherwise
   */
  close(tid: number, returnAddress: number, stackPointer: number): CallFrame<Call>[] {
    const stackAddress = stackPointer - WORD_BYTES;
    const frames = this.#byStackAddress.get(stackAddress) ?? [];
    if (frames[0]?.returnAddress !== returnAddress) return [];
    this.#byStackAddress.delete(stackAddress);
    this.#dropBelow(tid, stackAddress);
    return frames.toReversed();
  }

  /** A thread has ended. */
  dropThread(tid: number): void {
    for (const [address, [first]] of this.#byStackAddress)
      if (first?.tid === tid) this.#byStackAddress.delete(address);
  }

  /** A call is not probed any more. */
  dropCall(call: Call): void {
    for (const [address, frames] of this.#byStackAddress) {
      const left = frames.filter((frame) => frame.call !== call);
      if (left.length === 0) this.#byStackAddress.delete(address);
      else if (left.length < frames.length) this.#byStackAddress.set(address, left);
    }
  }

  /**
   * A return address will not be looked at.
   *
   * @returns the calls that return there
   */
  dropReturningTo(returnAddress: number): CallFrame<Call>[] {
    const dropped: CallFrame<Call>[] = [];
    for (const [address, frames] of this.#byStackAddress) {
      if (frames[0]?.returnAddress !== returnAddress) continue;
      this.#byStackAddress.delete(address);
      dropped.push(...frames);
    }
    return dropped;
  }

  /** Its stack has been given up down to there. */
  #dropBelow(tid: number, stackAddress: number): void {
    for (const [address, [first]] of this.#byStackAddress) {
      const isBelow = address < stackAddress && stackAddress - address <= SAME_STACK_BYTES;
      if (isBelow && first?.tid === tid) this.#byStackAddress.delete(address);
    }
  }
}
