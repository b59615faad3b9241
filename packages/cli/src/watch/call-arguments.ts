/**
 * The arguments of system calls. While a task stands at the entry of one, what its arguments are and point to is copied; the words
 * are made of that when the task has gone on: it does not wait for them.
 */
import { argumentTexts, AUDIT_ARCH_X86_64, readArguments, type SystemCallStop } from '@usertrace/abi';
import type { Task } from '@usertrace/utrace';

/** PATH_MAX: the longest path that the kernel takes. */
const PATH_MAX = 4096;
const ARGUMENTS = 6;
const WORD_BYTES = 8;
const NOTHING = new Uint8Array(0);
/** No table has it. */
const UNKNOWN_CALL = -1;

/** Bytes for the calls of a round: some thousand of them. */
const STORE_BYTES = 262_144;
/** What a call needs at most: its arguments, and a path for each, first in short. */
const CALL_BYTES_MAX = ARGUMENTS * (WORD_BYTES + 2 * PATH_MAX);

/** A piece of the memory of a task, in the store. */
interface Piece {
  readonly address: bigint;
  readonly offset: number;
  readonly size: number;
}

/** Where the arguments of a call are in the store. */
export interface CopiedArguments {
  /** Of the call, in the table for x86-64; -1 for a call of another architecture, which has another table. */
  readonly number: number;
  readonly offset: number;
  readonly pieces: readonly Piece[];
}

const NO_PIECES: readonly Piece[] = [];

/** A store of arguments. */
export class CallArguments {
  readonly #store = new Uint8Array(STORE_BYTES);
  readonly #view = new DataView(this.#store.buffer);
  #used = 0;
  #task: Task | undefined;
  #stop: SystemCallStop | undefined;
  #pieces: Piece[] = [];
  readonly #argument = (index: number): bigint => this.#stop?.argument(index) ?? 0n;
  readonly #copy = (address: bigint, size: number): Uint8Array => {
    const task = this.#task;
    const offset = this.#used;
    if (task === undefined) return NOTHING;
    const wanted = Math.min(size, PATH_MAX + 1);
    const count = task.port.readMemory(task.tid, address, this.#store, offset, wanted);
    if (count <= 0) return NOTHING;
    this.#pieces.push({ address, offset, size: count });
    this.#used += count;
    return this.#store.subarray(offset, offset + count);
  };

  /** Whether there may be no room for another call: words have to be made of what is there, and `clear` called. */
  get isFull(): boolean {
    return this.#used + CALL_BYTES_MAX > STORE_BYTES;
  }

  /** Forgets all that was copied. */
  clear(): void {
    this.#used = 0;
  }

  /**
   * Copies the arguments of a call, and what they point to.
   *
   * @param task in its stop for the entry of the call
   * @param stop what the kernel says of it
   */
  copy(task: Task, stop: SystemCallStop): CopiedArguments {
    const number = stop.architecture === AUDIT_ARCH_X86_64 ? stop.number : UNKNOWN_CALL;
    const offset = this.#used;
    this.#store.set(stop.argumentBytes, offset);
    this.#used += ARGUMENTS * WORD_BYTES;
    this.#task = task;
    this.#stop = stop;
    readArguments(number, this.#argument, this.#copy, PATH_MAX);
    if (this.#pieces.length === 0) return { number, offset, pieces: NO_PIECES };
    const pieces = this.#pieces;
    this.#pieces = [];
    return { number, offset, pieces };
  }

  /**
   * The arguments' texts, with paths in full: half a path names another file.
   *
   * @param copied since the last `clear`
   */
  textsOf({ number, offset, pieces }: CopiedArguments): string[] {
    const argument = (index: number): bigint => this.#view.getBigUint64(offset + index * WORD_BYTES, true);
    const read = (address: bigint, size: number): Uint8Array => {
      let found: Piece | undefined;
      for (const piece of pieces)
        if (piece.address === address && piece.size > (found?.size ?? 0)) found = piece;
      if (found === undefined) return NOTHING;
      return this.#store.subarray(found.offset, found.offset + Math.min(size, found.size));
    };
    return argumentTexts(number, argument, read, PATH_MAX);
  }
}
