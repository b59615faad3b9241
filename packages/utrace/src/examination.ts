/**
 * A stopped task's registers and memory. Valid while its task stays in the stop in which it was made; each call says EAGAIN
 * after that.
 */
import { Registers } from '@usertrace/abi';
import { ErrnoError, type ErrnoName, errnoName } from '@usertrace/base';
import type { Engine } from './engine.ts';
import type { Task } from './task.ts';

const PAGE_BYTES = 4096;
/** The longest string that `readString` reads: PATH_MAX. */
const MAX_STRING_BYTES = 4096;

/** A look at a stopped task. */
export class Examination {
  readonly #task: Task;
  readonly #stopNumber: number;

  constructor(task: Task) {
    this.#task = task;
    this.#stopNumber = task.stopNumber;
  }

  /** A copy of the general registers. */
  registers(): Registers {
    const registers = new Registers();
    this.#check(this.#task.port.readRegisters(this.#tid('read registers'), registers), 'read registers');
    return registers;
  }

  /** Sets the general registers. */
  setRegisters(registers: Registers): void {
    this.#check(this.#task.port.writeRegisters(this.#tid('set registers'), registers), 'set registers');
  }

  /**
   * Reads memory.
   *
   * @returns the bytes; fewer than asked for where mapped memory ends
   * @throws {ErrnoError} EFAULT when there is none at the address
   */
  read(address: bigint, size: number): Uint8Array {
    const bytes = new Uint8Array(size);
    const count = this.#task.port.readMemory(this.#tid('read memory'), address, bytes);
    return bytes.subarray(0, this.#check(count, `read memory at 0x${address.toString(16)}`));
  }

  /**
   * Reads a string up to its zero byte, 4,096 bytes of it at most.
   *
   * @throws {ErrnoError} EFAULT when there is no memory at the address
   */
  readString(address: bigint): string {
    const pieces: Buffer[] = [];
    let at = address;
    for (let left = MAX_STRING_BYTES; left > 0; ) {
      const size = Math.min(left, PAGE_BYTES - Number(at % BigInt(PAGE_BYTES)));
      const piece = Buffer.from(this.read(at, size));
      const end = piece.indexOf(0);
      pieces.push(end < 0 ? piece : piece.subarray(0, end));
      if (end >= 0 || piece.length < size) break;
      left -= size;
      at += BigInt(size);
    }
    return Buffer.concat(pieces).toString();
  }

  /**
   * Writes memory, also where the task itself may only read or execute it.
   *
   * @returns the count of bytes, fewer where mapped memory ends
   * @throws {ErrnoError} EFAULT or EIO when there is none at the address
   */
  write(address: bigint, bytes: Uint8Array): number {
    const count = this.#task.port.writeMemory(this.#tid('write memory'), address, bytes);
    return this.#check(count, `write memory at 0x${address.toString(16)}`);
  }

  /**
   * Makes the task call the system, with its registers, its signals and an interrupted call as before afterwards. After 200 ms it
   * is interrupted, and answers EINTR if it can be.
   *
   * @param number of the system call
   * @param args at most six
   * @returns its answer, an error as its negative number
   * @throws {ErrnoError} EAGAIN in the middle of a system call or of a signal's delivery: interrupt the task and do it in a
   *   callback for `quiesce`; EINVAL for calls that make or end tasks
   */
  systemCall(number: number, args: readonly bigint[]): bigint {
    this.#tid('make it call the system');
    return this.#task.remoteCall(number, args);
  }

  #tid(doing: string): number {
    if (this.#task.stopNumber !== this.#stopNumber || !this.#task.isStillInStop())
      throw new ErrnoError(
        'EAGAIN',
        `Cannot ${doing} of task ${this.#task.tid}: it is not in that stop any more`,
      );
    return this.#task.tid;
  }

  #check(answer: number, doing: string): number {
    if (answer >= 0) return answer;
    const name = errnoName(-answer);
    throw new ErrnoError(name as ErrnoName, `Cannot ${doing} of task ${this.#task.tid}`);
  }
}

/**
 * Answers Engine.examine: the task has to be stopped for the engine, and to stay in that stop while `work` looks at it.
 *
 * @throws {ErrnoError} see Engine.examine
 */
export async function examineStopped<T>(
  engine: Engine,
  work: (examination: Examination) => T | Promise<T>,
): Promise<T> {
  const { task } = engine;
  if (task.deathStage !== 'alive')
    throw new ErrnoError('ESRCH', `Cannot examine task ${task.tid}: it is dead`);
  if (!engine.wantsStop)
    throw new ErrnoError('EINVAL', `Cannot examine task ${task.tid}: this engine does not keep it stopped`);
  const moved = (): ErrnoError =>
    new ErrnoError('EAGAIN', `Cannot examine task ${task.tid}: it is not stopped`);
  if (!task.isStopped) throw moved();
  const { stopNumber } = task;
  const result = await work(new Examination(task));
  const isSame = task.isStopped && task.stopNumber === stopNumber;
  if (!isSame || task.port.readRegisters(task.tid, new Registers()) < 0) throw moved();
  return result;
}
