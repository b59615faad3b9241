/**
 * Reads and writes in other processes' memory, off the serving thread and with a deadline (access-lanes.ts).
 *
 * Writes have the effect that the kernel's own user_events has: only where the program itself may write. The kernel checks that
 * together with the access, or, before Linux 6.11, mapping-reader.ts before it.
 */
import { type Address, assert, ERRNO, type Tid, type Uid } from '@usertrace/base';
import type { Reactor } from '../reactor/reactor.ts';
import { AccessLanes } from './access-lanes.ts';
import { AddressSpace } from './address-space.ts';
import type { ExecutorsOptions } from './executor.ts';
import { hasMappingQuery, MappingReader } from './mapping-reader.ts';
import { KIND, LATE, MAX_OPERATION_BYTES, newOperation, type Operation, REQUIRED } from './operation.ts';

/**
 * Why an operation was not done. `faulted`: nothing is mapped there, or the program itself may not read or write
 * there. `gone`: no task uses the address space any more, or it was closed. `late`: its deadline passed.
 */
export type AccessFailure = 'faulted' | 'gone' | 'late';

/** What can be switched off, to test what stands in for it. */
export interface RemoteMemoryOptions extends ExecutorsOptions {
  /** Whether to use PROCMAP_QUERY; found out if left out. */
  readonly hasMappingQuery?: boolean;
}

/** Other processes' memory. Its owner disposes of it. */
export class RemoteMemory {
  readonly #lanes: AccessLanes;
  readonly #mappingReader: MappingReader | undefined;

  /** @param reactor of the thread that uses this object */
  constructor(reactor: Reactor, options: RemoteMemoryOptions = {}) {
    this.#lanes = new AccessLanes(reactor, options);
    if (!(options.hasMappingQuery ?? hasMappingQuery()))
      this.#mappingReader = new MappingReader((operation) => this.#lanes.enqueue(operation));
  }

  /**
   * Pins the address space that a task has now. Two descriptors until closed.
   *
   * @param tid the task
   * @param uid the user who answers for what its pages do
   * @returns undefined when the task is gone, ptrace(2)'s rules forbid access to it, or no descriptor is left
   */
  open(tid: Tid, uid: Uid): AddressSpace | undefined {
    const space = AddressSpace.open(tid, uid);
    if (space !== undefined) this.#lanes.recall(space);
    return space;
  }

  /**
   * Gives an address space back. Operations that have not begun are settled as `gone`.
   *
   * @param space one that is open
   */
  close(space: AddressSpace): void {
    space.close();
  }

  /** Whether some task still runs in an address space: false after the last has called exec or exited. Never waits. */
  isAlive(space: AddressSpace): boolean {
    return space.isAlive();
  }

  /**
   * Reads bytes.
   *
   * @param space where
   * @param address of the first byte
   * @param length from 1 to 4096
   * @param done called later, from deferred work, with the bytes up to the first that cannot be read
   */
  read(
    space: AddressSpace,
    address: Address,
    length: number,
    done: (result: Uint8Array | AccessFailure) => void,
  ): void {
    const settle: Operation['settle'] = (result, buffer) =>
      done(result > 0 ? buffer.slice(0, result) : failureOf(result));
    this.#begin(newOperation(space, KIND.READ, REQUIRED.READABLE, address, length, undefined, 0, 0, settle));
  }

  /**
   * Writes bytes.
   *
   * @param space where
   * @param address of the first byte
   * @param bytes from 1 to 4096, not to be changed until `done` is called
   * @param done called later, from deferred work. After `faulted` or `late` some of the bytes may be written
   */
  writeBytes(
    space: AddressSpace,
    address: Address,
    bytes: Uint8Array,
    done: (outcome: 'stored' | AccessFailure) => void,
  ): void {
    const { length } = bytes;
    const settle: Operation['settle'] = (result) => {
      if (result === length) done('stored');
      else done(result > 0 ? 'faulted' : failureOf(result));
    };
    this.#begin(newOperation(space, KIND.WRITE, REQUIRED.WRITABLE, address, length, bytes, 0, 0, settle));
  }

  /**
   * Sets or clears one bit, by a store of the byte that holds it: other bytes of the word, which the program may
   * change at the same time, are left alone.
   *
   * @param space where
   * @param address of the word, whose bits are counted from its first byte's lowest
   * @param bit from 0 to 63
   * @param set the bit's value
   * @param done called later, from deferred work
   */
  storeBit(
    space: AddressSpace,
    address: Address,
    bit: number,
    set: boolean,
    done: (outcome: 'stored' | AccessFailure) => void,
  ): void {
    const mask = 1 << (bit & 7);
    const byteAddress = bit < 8 ? address : address + BigInt(bit >> 3);
    const keep = 0xff & ~mask;
    const put = set ? mask : 0;
    const settle: Operation['settle'] = (result) => done(result === 1 ? 'stored' : failureOf(result));
    this.#begin(
      newOperation(space, KIND.STORE_BIT, REQUIRED.WRITABLE, byteAddress, 1, undefined, keep, put, settle),
    );
  }

  /** Ends the executors. Operations that are left are settled as late, before this returns. */
  dispose(): void {
    this.#lanes.dispose();
  }

  #begin(operation: Operation): void {
    assert(
      operation.length >= 1 && operation.length <= MAX_OPERATION_BYTES,
      'accesses are of 1 to 4096 bytes',
    );
    if (this.#mappingReader === undefined) this.#lanes.enqueue(operation);
    else this.#mappingReader.checkAndPerform(operation);
  }
}

function failureOf(result: number): AccessFailure {
  if (result === 0 || result === -ERRNO.ESRCH) return 'gone';
  return result === LATE ? 'late' : 'faulted';
}
