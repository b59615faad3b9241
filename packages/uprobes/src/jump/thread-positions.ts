/**
 * Where the threads of a stopped process are, and where they may come back to: their instruction pointers, and every word of their
 * stacks, taken for an address. So the frames of signal handlers are looked at without being understood, and return addresses too.
 *
 * A stack reaches from the stack pointer to the end of its mapping. A thread that is on another stack than its own (sigaltstack(2))
 * has its own stack looked through as well, as a whole. Contexts that a program keeps elsewhere and continues in the middle of a
 * function (a scheduler that interrupts its coroutines by signals) are not found; see `isPreemptive` in placements.ts.
 */

import type { Task } from '@usertrace/utrace';
import { type Mapping, mappingAt } from '../process/process-maps.ts';
import { readIfThere } from '../process/thread-memory.ts';

/** Stacks that are larger all together are not looked through: nothing is known then. */
const STACK_BYTES_MAX = 64 * 1024 * 1024;
const WORD_BYTES = 8;

/** Addresses from `from` up to `to`, which is not among them. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** Where threads are. */
export class ThreadPositions {
  readonly #instructionPointers: number[] = [];
  readonly #stacks: Uint32Array[] = [];
  readonly #registers: Uint32Array[] = [];
  #isComplete = true;

  /**
   * @param tasks all threads that run in the memory, stopped
   * @param mappings of the memory
   * @throws {ErrnoError} EAGAIN, ESRCH when a thread is not stopped any more
   */
  constructor(tasks: readonly Task[], mappings: readonly Mapping[]) {
    let left = STACK_BYTES_MAX;
    const mainStack = mappings.find(({ path }) => path === '[stack]');
    for (const task of tasks) {
      const look = task.examination();
      const registers = look.registers();
      this.#instructionPointers.push(Number(registers.get('rip')));
      this.#registers.push(wordsOf(new Uint8Array(registers.words.buffer)));
      const stackPointer = Number(registers.get('rsp'));
      const current = mappingAt(mappings, stackPointer);
      const own = task.tid === task.tgid ? mainStack : mappingAt(mappings, Number(registers.get('fs_base')));
      const spans: Span[] = [];
      if (current !== undefined) {
        // Aligned as the processor pushes; a stack pointer that is not is taken a little lower.
        spans.push({ from: stackPointer - (stackPointer % WORD_BYTES), to: current.end });
      }
      if (own !== undefined && own.start !== current?.start) spans.push({ from: own.start, to: own.end });
      for (const { from, to } of spans) {
        left -= to - from;
        const bytes = left < 0 ? undefined : readIfThere(look, BigInt(from), to - from);
        if (bytes?.length === to - from) this.#stacks.push(wordsOf(bytes));
        else this.#isComplete = false;
      }
    }
  }

  /**
   * Whether a thread is, or may come back to, any address of some stretches. True also when not all stacks could be read.
   */
  areIn(spans: readonly Span[]): boolean {
    if (spans.length === 0) return false;
    const isInside = (address: number): boolean =>
      spans.some(({ from, to }) => from <= address && address < to);
    if (!this.#isComplete || this.#instructionPointers.some(isInside)) return true;
    const lowest = Math.min(...spans.map(({ from }) => from));
    const highest = Math.max(...spans.map(({ to }) => to));
    let isFound = false;
    for (const words of this.#stacks) {
      eachBetween(words, lowest, highest, (address) => {
        isFound ||= isInside(address);
      });
    }
    return isFound;
  }

  /**
   * Which of some addresses are in a register or on a stack.
   *
   * @returns undefined when not all stacks could be read
   */
  mentioned(addresses: ReadonlySet<number>): Set<number> | undefined {
    if (!this.#isComplete) return undefined;
    const mentioned = new Set<number>();
    let [lowest, highest] = [Number.MAX_SAFE_INTEGER, 0];
    for (const address of addresses) {
      lowest = Math.min(lowest, address);
      highest = Math.max(highest, address);
    }
    for (const words of [...this.#registers, ...this.#stacks]) {
      eachBetween(words, lowest, highest, (address) => {
        if (addresses.has(address)) mentioned.add(address);
      });
    }
    return mentioned;
  }
}

/** Calls for each word of 64 bits between two numbers. */
function eachBetween(
  words: Uint32Array,
  lowest: number,
  highest: number,
  found: (value: number) => void,
): void {
  const [lowestHigh, highestHigh] = [Math.floor(lowest / 2 ** 32), Math.floor(highest / 2 ** 32)];
  for (let at = 0; at < words.length; at += 2) {
    const high = words[at + 1] as number;
    if (high < lowestHigh || high > highestHigh) continue;
    const value = high * 2 ** 32 + (words[at] as number);
    if (value >= lowest && value <= highest) found(value);
  }
}

function wordsOf(bytes: Uint8Array): Uint32Array {
  const isAligned = bytes.byteOffset % WORD_BYTES === 0;
  const aligned = isAligned ? bytes : Uint8Array.from(bytes);
  return new Uint32Array(aligned.buffer, aligned.byteOffset, aligned.length >> 2);
}
