/**
 * The memory that an executor and the serving thread share: the program, a stack, a control block, a ring of
 * operations each with its buffer, and what it takes to pass descriptors on.
 *
 *     offset
 *          0  machine code, one page, read and execute
 *       4096  stack, one page: only the C library's clone() uses it
 *       8192  control block:   0 u32 submitted      8 u32 notify        16 i32 parentPid   24 u64 one
 *                              4 u32 completed     12 i32 completionFd  20 u32 spins       32 char name[32]
 *                             64 struct procmap_query (104 bytes), the executor's own
 *       8448  operations, 64 bytes each:
 *                              0 u32 kind    8 u32 file      16 u64 address  32 u64 length  41 u8 put
 *                              4 u32 handle 12 u32 required  24 u64 buffer   40 u8 keep     42 u8 adopts
 *                                                                                           48 s64 result
 *      24832  passing on:      0 u32 first, last, flags: three ranges of descriptors that are closed at the start
 *                             36 i32 socketFd             96 struct iovec for `payload`   120 struct cmsghdr, whose
 *                             40 struct msghdr           112 u8 payload                       contents are the two
 *                            144 u32 ranges in use                                            descriptors at 136
 *      25088  handles, 8 bytes each, the executor's own:  0 i32 memFd  4 i32 mapsFd, of its table of descriptors
 *      45056  buffers, 4096 bytes each
 *
 * `submitted` and `completed` only grow (modulo 2^32); the slot of a number is its remainder by `SLOTS`. The serving
 * thread writes slots from `completed` + `SLOTS` down to `submitted`, then `submitted`; the executor those between
 * `completed` and `submitted`, then `completed`.
 */
import { assert } from '@usertrace/base';
import { checked, libc, viewOf } from '../bindings.ts';
import { type DescriptorRange, MESSAGE_BYTES, writeMessage } from './descriptor-passing.ts';
import { machineCode } from './machine-code.ts';
import { MAX_OPERATION_BYTES, type Access } from './operation.ts';

/** Operations submitted at once. The machine code takes the lowest 8 bits of a count for its slot. */
export const SLOTS = 256;

/**
 * Address spaces whose descriptors an executor has at once. To pass those of another on costs some 7 µs, which a store
 * into one that it has does not, so a thousand processes should fit.
 */
export const HANDLES = 2048;

const PAGE_BYTES = 4096;
const STACK_TOP = 2 * PAGE_BYTES;
const CONTROL = 2 * PAGE_BYTES;
const QUERY = 64;
const OPERATIONS = CONTROL + 256;
const OPERATION_BYTES = 64;
const PASSING = OPERATIONS + SLOTS * OPERATION_BYTES;
const HANDLE_TABLE = PASSING + 256;
const RANGES_MAX = 3;
const SOCKET_FD = PASSING + 36;
const PASSED_MESSAGE = PASSING + 40;
const RANGES_IN_USE = PASSED_MESSAGE + MESSAGE_BYTES;
const BUFFERS = 11 * PAGE_BYTES;
const ARENA_BYTES = BUFFERS + SLOTS * MAX_OPERATION_BYTES;

/** struct procmap_query (include/uapi/linux/fs.h). */
const PROCMAP_QUERY_BYTES = 104;

/** A handle without descriptors: -1 twice. */
const NO_DESCRIPTORS = -1n;

/** Pauses before the executor sleeps: some 20 to 45 µs, depending on the processor. */
const SPINS = 1000;

const PROT = { READ: 1, WRITE: 2, EXEC: 4 } as const;
const MAP_PRIVATE_ANONYMOUS = 0x22;

/** Indices of the control block's words. */
const WORD = {
  SUBMITTED: 0,
  COMPLETED: 1,
  NOTIFY: 2,
  COMPLETION_FD: 3,
  PARENT_PID: 4,
  SPINS: 5,
  ONE: 6,
} as const;

/** An arena. One executor uses it at a time; `release` only after that is dead. */
export class Arena {
  readonly #address: number;
  readonly #memory: DataView;
  readonly #words: Int32Array;
  readonly #operations: DataView;
  readonly #handles: BigInt64Array;
  readonly #buffers: Uint8Array;

  /**
   * @param completionFd an eventfd to be signalled when the executor has done all there was to do
   * @throws {ErrnoError} ENOMEM when there is no memory, EACCES when memory may not be made executable
   */
  constructor(completionFd: number) {
    this.#address = checked(
      libc().mmap(null, ARENA_BYTES, PROT.READ | PROT.WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0),
      'map memory for an executor',
    );
    const memory = viewOf(this.#address, ARENA_BYTES);
    new Uint8Array(memory).set(machineCode());
    new Uint8Array(memory).set(Buffer.from('usertrace-mem\0'), CONTROL + 32);
    checked(
      libc().mprotect(this.#address, PAGE_BYTES, PROT.READ | PROT.EXEC),
      "make the executor's code executable",
    );
    this.#words = new Int32Array(memory, CONTROL, WORD.ONE + 2);
    this.#words[WORD.COMPLETION_FD] = completionFd;
    this.#words[WORD.PARENT_PID] = process.pid;
    this.#words[WORD.SPINS] = SPINS;
    this.#words[WORD.ONE] = 1;
    this.#memory = new DataView(memory);
    this.#memory.setBigUint64(CONTROL + QUERY, BigInt(PROCMAP_QUERY_BYTES), true);
    writeMessage(this.#memory, PASSED_MESSAGE, this.#address + PASSED_MESSAGE);
    this.#operations = new DataView(memory, OPERATIONS, SLOTS * OPERATION_BYTES);
    this.#handles = new BigInt64Array(memory, HANDLE_TABLE, HANDLES);
    this.#buffers = new Uint8Array(memory, BUFFERS);
  }

  /** Where the program begins. */
  get entry(): number {
    return this.#address;
  }

  get stackTop(): number {
    return this.#address + STACK_TOP;
  }

  /** Where the control block is, whose first word is the futex `submitted`. */
  get control(): number {
    return this.#address + CONTROL;
  }

  /** How many operations were submitted, modulo 2^32. */
  get submitted(): number {
    return Atomics.load(this.#words, WORD.SUBMITTED) >>> 0;
  }

  /** How many operations are completed, modulo 2^32. */
  get completed(): number {
    return Atomics.load(this.#words, WORD.COMPLETED) >>> 0;
  }

  /**
   * Forgets everything that was submitted, for the executor that begins here after another died.
   *
   * @param socketFd where it receives descriptors
   * @param ranges of descriptors, at most three, that it closes in a table of its own; the first makes the table
   */
  reset(socketFd: number, ranges: readonly DescriptorRange[]): void {
    assert(ranges.length <= RANGES_MAX, 'two descriptors leave three ranges around them');
    for (const [i, { first, last, flags }] of ranges.entries())
      for (const [j, word] of [first, last, flags].entries())
        this.#memory.setUint32(PASSING + 12 * i + 4 * j, word, true);
    this.#memory.setUint32(RANGES_IN_USE, ranges.length, true);
    this.#memory.setInt32(SOCKET_FD, socketFd, true);
    this.#handles.fill(NO_DESCRIPTORS);
    this.#words[WORD.SUBMITTED] = 0;
    this.#words[WORD.COMPLETED] = 0;
    this.#words[WORD.NOTIFY] = 0;
  }

  /** Asks the executor to signal once, when it has completed all there is. */
  askForNotice(): void {
    Atomics.store(this.#words, WORD.NOTIFY, 1);
  }

  /**
   * Puts an operation into the slot after those that were submitted, of which there are fewer than `SLOTS`.
   *
   * @param handle which of the executor's handles has the address space's descriptors
   * @param adopts whether that gets them by this operation, from a message in the socket
   */
  submit(operation: Access, handle: number, adopts: boolean): void {
    const number = this.submitted;
    const slot = number % SLOTS;
    const at = slot * OPERATION_BYTES;
    const view = this.#operations;
    view.setUint32(at, operation.kind, true);
    view.setUint32(at + 4, handle, true);
    view.setUint32(at + 8, operation.file, true);
    view.setUint32(at + 12, operation.required, true);
    view.setBigUint64(at + 16, operation.address, true);
    view.setBigUint64(at + 24, BigInt(this.#address + BUFFERS + slot * MAX_OPERATION_BYTES), true);
    view.setBigUint64(at + 32, BigInt(operation.length), true);
    view.setUint8(at + 40, operation.keep);
    view.setUint8(at + 41, operation.put);
    view.setUint8(at + 42, adopts ? 1 : 0);
    if (operation.bytes !== undefined) this.#buffers.set(operation.bytes, slot * MAX_OPERATION_BYTES);
    Atomics.store(this.#words, WORD.SUBMITTED, (number + 1) | 0);
  }

  /** The result of a completed operation, by its number. */
  result(number: number): number {
    return Number(this.#operations.getBigInt64((number % SLOTS) * OPERATION_BYTES + 48, true));
  }

  /** The buffer of an operation, by its number. */
  buffer(number: number): Uint8Array {
    const at = (number % SLOTS) * MAX_OPERATION_BYTES;
    return this.#buffers.subarray(at, at + MAX_OPERATION_BYTES);
  }

  /** Unmaps the memory. Nothing may use this object afterwards. */
  release(): void {
    checked(libc().munmap(this.#address, ARENA_BYTES), 'unmap an arena');
  }
}
