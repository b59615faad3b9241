/**
 * The jumps in one address space: where they are, and their trampolines. It changes them only while all threads stand still.
 *
 *     armed       the jump is in the code
 *     idle        it was; a thread may still be in the trampoline, which stays, to be used again for the same probes
 *     free        no thread was in it at a stop of all: other trampolines may take its memory
 */

import type { Examination } from '@usertrace/utrace';
import { type Mapping, mappingAt, sourceOf } from '../process/process-maps.ts';
import { readIfThere } from '../process/thread-memory.ts';
import { hasLeftovers, takeLeftovers } from './leftovers.ts';
import { IS_ARMED_AT, jumpFrom, RECORD_BYTES } from './patch-record.ts';
import type { SharedLanes } from './shared-lanes.ts';
import type { SpaceStillness } from './stopped-process.ts';
import type { Span } from './thread-positions.ts';
import { type Trampoline, Trampolines } from './trampolines.ts';
import type { JumpObstacle, WantedJump } from './wanted-jumps.ts';

/** The jumps of an address space. */
export class JumpedSpace {
  #trampolines = new Trampolines();
  #hasTakenLeftovers = false;
  /** A thread is in a dead tracer's trampoline, and nobody knows where it will go on. */
  #isLeftoverInUse = false;
  /** By the probed instruction's address. */
  readonly #armed = new Map<number, Trampoline>();

  /** The same in a fork's child, which has a copy of the memory and shares the lanes. */
  fork(): JumpedSpace {
    const child = new JumpedSpace();
    child.#trampolines = this.#trampolines.fork();
    for (const [address, trampoline] of this.#armed) {
      const copy = child.#trampolines.copyOf(trampoline);
      if (copy !== undefined) child.#armed.set(address, copy);
    }
    return child;
  }

  /** The space is gone. */
  close(): void {
    this.#trampolines.close();
  }

  isArmed(address: number): boolean {
    return this.#armed.has(address);
  }

  /** Of the instructions that jumps probe. */
  get addresses(): Iterable<number> {
    return this.#armed.keys();
  }

  /** Whether an address lies in what a jump covers. */
  isIn(address: number): boolean {
    for (const { place, code } of this.#armed.values())
      if (address >= place && address < place + code.length) return true;
    return false;
  }

  /** Whether jumps have to come or go. */
  differs(wanted: ReadonlyMap<number, WantedJump>): boolean {
    return this.#armed.size !== wanted.size || ![...wanted.values()].every((jump) => this.#isArmedFor(jump));
  }

  /** Whether there is memory of trampolines in the program, ours or a dead tracer's. */
  hasMemory(mappings: readonly Mapping[]): boolean {
    return this.#trampolines.haveMemory || this.hasLeftovers(mappings);
  }

  /** Whether another tracer has left something that was not looked at yet. */
  hasLeftovers(mappings: readonly Mapping[]): boolean {
    return !this.#hasTakenLeftovers && hasLeftovers(mappings, this.#trampolines.lanes?.identity);
  }

  /**
   * Takes away what a dead tracer has left.
   *
   * @param isLastTry whether what a thread is in may stay for good
   * @returns whether it is done; not when a thread is in the way
   */
  takeLeftovers(stillness: SpaceStillness, pid: number, isLastTry: boolean): boolean {
    this.#isLeftoverInUse = !takeLeftovers(stillness, pid, this.#trampolines.lanes?.identity);
    this.#hasTakenLeftovers = !this.#isLeftoverInUse || isLastTry;
    return this.#hasTakenLeftovers;
  }

  /**
   * Gives all memory back. No jump is left.
   *
   * @returns whether no thread was in it; else it stays
   */
  release(stillness: SpaceStillness): boolean {
    return this.#trampolines.release(stillness);
  }

  /** Forgets jumps whose memory shows something else by now, or in which something else was written over them. */
  keepValid(look: Examination, mappings: readonly Mapping[]): void {
    for (const [address, trampoline] of this.#armed) {
      const { place } = trampoline;
      const jump = jumpFrom(place, trampoline.address + RECORD_BYTES);
      const there = readIfThere(look, BigInt(place), jump.length);
      const isThere = there !== undefined && Buffer.compare(there, jump) === 0;
      if (!isThere || sourceOf(mappingAt(mappings, place), place) !== trampoline.source)
        this.#armed.delete(address);
    }
  }

  /** Takes away the jumps that are not wanted as they are. */
  disarm({ look }: SpaceStillness, wanted: ReadonlyMap<number, WantedJump>): void {
    for (const [address, trampoline] of this.#armed) {
      const jump = wanted.get(address);
      if (jump !== undefined && this.#isArmedFor(jump)) continue;
      look.write(BigInt(trampoline.place), trampoline.code.subarray(0, jumpFrom(0, 0).length));
      look.write(BigInt(trampoline.address + IS_ARMED_AT), new Uint8Array(4));
      this.#armed.delete(address);
    }
  }

  /**
   * Puts in a jump.
   *
   * @param forbidden where no thread may be besides: in slots that come back into what the jump covers
   * @param gateOpened told of each gate that the jump leads to
   * @returns why it cannot be
   * @throws {ErrnoError} EAGAIN when the thread is not stopped any more
   */
  arm(
    stillness: SpaceStillness,
    jump: WantedJump,
    forbidden: readonly Span[],
    gateOpened: (lanes: SharedLanes, gate: string) => void,
  ): JumpObstacle | undefined {
    const { look, positions } = stillness;
    const { address, start, place } = jump;
    const inside = { from: start + 1, to: start + place.code.length };
    if (this.#isLeftoverInUse) return 'thread-inside';
    const leading = this.#trampolines.leadingInto(inside);
    if (positions.areIn([inside, ...leading, ...forbidden])) return 'thread-inside';
    const there = readIfThere(look, BigInt(start), place.code.length);
    if (there === undefined || Buffer.compare(there, place.code) !== 0) return 'changed-code';
    const trampoline = this.#trampolines.make(stillness, jump);
    if (trampoline === undefined) return 'no-room';
    const { lanes } = this.#trampolines;
    if (lanes !== undefined) for (const gate of trampoline.gates) gateOpened(lanes, gate);
    look.write(BigInt(trampoline.address + IS_ARMED_AT), Uint8Array.of(1, 0, 0, 0));
    look.write(BigInt(start), jumpFrom(start, trampoline.address + RECORD_BYTES));
    this.#armed.set(address, trampoline);
    return undefined;
  }

  /** Gives memory back that no thread is in, if there is much of it. */
  freeIdle(stillness: SpaceStillness): void {
    this.#trampolines.freeIdle(stillness, new Set(this.#armed.values()));
  }

  #isArmedFor(jump: WantedJump): boolean {
    const armed = this.#armed.get(jump.address);
    return armed !== undefined && armed === this.#trampolines.of(jump);
  }
}
