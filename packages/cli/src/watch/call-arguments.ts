/** The arguments of a system call as text, with strings from the memory of the task that makes it. */
import { argumentTexts, AUDIT_ARCH_X86_64, type MemoryReader, type SystemCallStop } from '@usertrace/abi';
import type { Task } from '@usertrace/utrace';

/** PATH_MAX: the longest path that the kernel takes. */
const PATH_MAX = 4096;
const NOTHING = new Uint8Array(0);
/** No table has it. */
const UNKNOWN_CALL = -1;

/** Reads arguments of stopped tasks. It has one buffer, which each reading fills anew. */
export class CallArguments {
  readonly #buffer = new Uint8Array(PATH_MAX + 1);
  #task: Task | undefined;
  #stop: SystemCallStop | undefined;
  readonly #read: MemoryReader = (address, size) => {
    const task = this.#task;
    if (task === undefined) return NOTHING;
    const into = this.#buffer.subarray(0, Math.min(size, this.#buffer.length));
    const count = task.port.readMemory(task.tid, address, into);
    return count > 0 ? into.subarray(0, count) : NOTHING;
  };
  readonly #argument = (index: number): bigint => this.#stop?.argument(index) ?? 0n;

  /**
   * The arguments' texts, with paths in full: half a path names another file. A call of another architecture has another table:
   * its six numbers.
   *
   * @param task in its stop for the entry of the call
   * @param stop what the kernel says of it
   */
  textsOf(task: Task, stop: SystemCallStop): string[] {
    this.#task = task;
    this.#stop = stop;
    const number = stop.architecture === AUDIT_ARCH_X86_64 ? stop.number : UNKNOWN_CALL;
    return argumentTexts(number, this.#argument, this.#read, PATH_MAX);
  }
}
