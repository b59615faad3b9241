/**
 * Reads and writes in other processes' memory, off the serving thread and with a deadline.
 *
 * An operation goes to the prompt lane, where it normally takes a few microseconds. What hangs there for
 * `PROMPT_NS` makes its address space suspect: that operation and all others of the address space, as long as it is
 * suspect, go to the patient lane, one at a time, where each may take `PATIENT_NS` and is then settled as late. So a
 * hung page delays operations of others by `PROMPT_NS` once. Operations of one address space keep their order.
 *
 * A late operation is dead: its executor was killed. Only one that waits uninterruptibly, for a page of a file system
 * that does not answer, cannot be ended; then nothing else is tried in that address space (dying-accesses.ts).
 *
 * Writes have the effect that the kernel's own user_events has: only where the program itself may write.
 */
import { type Address, assert, ERRNO, type Tid } from '@usertrace/base';
import { lastErrno, libc } from '../bindings.ts';
import { monotonicNow } from '../clock.ts';
import { closeDescriptor, O, openDescriptor } from '../descriptor.ts';
import { EventFd } from '../event-fd.ts';
import type { Cancellable, Reactor } from '../reactor/reactor.ts';
import { AddressSpace } from './address-space.ts';
import { SLOTS } from './arena.ts';
import { DyingAccesses } from './dying-accesses.ts';
import { Executors } from './executor.ts';
import { Lane } from './lane.ts';
import { MappingReader } from './mapping-reader.ts';
import { KIND, LATE, MAX_OPERATION_BYTES, type Operation, REQUIRED } from './operation.ts';

/** How long others wait for an access that hangs for the first time. */
const PROMPT_NS = 5_000_000;
/** How long a suspect access may take. */
const PATIENT_NS = 100_000_000;
/** A suspect operation that has not begun after so long is late without a try: all those before it hung. */
const MAX_SUSPECT_WAIT_NS = 1_000_000_000;
/** A sleeping thread costs 25 to 50 µs a round trip, so it pays to stay awake for a batch of a few operations. */
const PROMPT_SPIN_NS = 20_000;

/** Operations that may wait: eight for each of the 32,768 events there can be. One more is late at once. */
export const MAX_WAITING_OPERATIONS = 262_144;

/** ioctl(2) on /proc/PID/maps, since Linux 6.11; ENOTTY before. */
const PROCMAP_QUERY = 0xc0686611;

/**
 * Why an operation was not done. `faulted`: nothing is mapped there, or the program itself may not read or write
 * there. `gone`: no task uses the address space any more, or it was closed. `late`: its deadline passed.
 */
export type AccessFailure = 'faulted' | 'gone' | 'late';

/** What can be switched off, to test what stands in for it. */
export interface RemoteMemoryOptions {
  /** Whether to use PROCMAP_QUERY; found out if left out. */
  readonly hasMappingQuery?: boolean;
}

/** Other processes' memory. Its owner disposes of it. */
export class RemoteMemory {
  readonly #reactor: Reactor;
  readonly #completion = new EventFd();
  readonly #watch: Cancellable;
  readonly #executors: Executors;
  readonly #promptLane: Lane;
  readonly #patientLane: Lane;
  readonly #dying: DyingAccesses;
  readonly #mappingReader: MappingReader | undefined;

  /** @param reactor of the thread that uses this object */
  constructor(reactor: Reactor, options: RemoteMemoryOptions = {}) {
    this.#reactor = reactor;
    this.#executors = new Executors(this.#completion.fd);
    this.#promptLane = new Lane(reactor, this.#executors, {
      patienceNs: PROMPT_NS,
      depth: SLOTS,
      spinNs: PROMPT_SPIN_NS,
      admits: (operation) => this.#admitsPromptly(operation),
      expired: (operation, isDead) => {
        operation.space.suspect();
        this.#dying.await(operation, isDead, () => this.#patientLane.enqueueFirst([suspected(operation)]));
      },
    });
    this.#patientLane = new Lane(reactor, this.#executors, {
      patienceNs: PATIENT_NS,
      depth: 1,
      spinNs: 0,
      admits: (operation) => this.#admitsSuspect(operation),
      expired: (operation, isDead) => {
        operation.space.suspect();
        this.#dying.await(operation, isDead, () => operation.settle(LATE, new Uint8Array()));
      },
    });
    this.#dying = new DyingAccesses(reactor, (operations) => this.#patientLane.enqueueFirst(operations));
    this.#watch = reactor.watch(this.#completion.fd, () => {
      this.#completion.clear();
      this.#promptLane.schedule();
      this.#patientLane.schedule();
    });
    if (!(options.hasMappingQuery ?? hasMappingQuery()))
      this.#mappingReader = new MappingReader((operation) => this.#enqueue(operation));
  }

  /**
   * Pins the address space that a task has now. Two descriptors until closed.
   *
   * @param tid the task
   * @returns undefined when the task is gone, ptrace(2)'s rules forbid access to it, or no descriptor is left
   */
  open(tid: Tid): AddressSpace | undefined {
    return AddressSpace.open(tid);
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
    this.#promptLane.dispose();
    this.#patientLane.dispose();
    this.#dying.dispose();
    this.#executors.dispose();
    this.#watch.cancel();
    this.#completion.close();
  }

  #begin(operation: Operation): void {
    assert(
      operation.length >= 1 && operation.length <= MAX_OPERATION_BYTES,
      'accesses are of 1 to 4096 bytes',
    );
    if (this.#mappingReader === undefined) this.#enqueue(operation);
    else this.#mappingReader.checkAndPerform(operation);
  }

  #enqueue(operation: Operation): void {
    if (this.#promptLane.size + this.#patientLane.size >= MAX_WAITING_OPERATIONS)
      this.#reactor.defer(() => operation.settle(LATE, new Uint8Array()));
    else this.#promptLane.enqueue(operation);
  }

  #admitsPromptly(operation: Operation): boolean {
    if (settledAtOnce(operation)) return false;
    if (!operation.space.isSuspect) return true;
    this.#patientLane.enqueue(suspected(operation));
    return false;
  }

  #admitsSuspect(operation: Operation): boolean {
    if (settledAtOnce(operation)) return false;
    if (monotonicNow() - operation.wantedNs > MAX_SUSPECT_WAIT_NS) {
      operation.settle(LATE, new Uint8Array());
      return false;
    }
    return !this.#dying.postpones(operation);
  }
}

/** Makes all operations alike, in one literal: thousands may be wanted at once. */
function newOperation(
  space: AddressSpace,
  kind: Operation['kind'],
  required: number,
  address: bigint,
  length: number,
  bytes: Uint8Array | undefined,
  keep: number,
  put: number,
  settle: Operation['settle'],
): Operation {
  return {
    space,
    kind,
    fd: space.memFd,
    required,
    address,
    length,
    bytes,
    keep,
    put,
    wantedNs: monotonicNow(),
    settle,
  };
}

/** An operation that keeps its address space suspect until it is settled. */
function suspected(operation: Operation): Operation {
  const { space } = operation;
  space.holdSuspect();
  return {
    ...operation,
    settle: (result, buffer) => {
      space.letGoSuspect();
      operation.settle(result, buffer);
    },
  };
}

/** Settles what cannot be done any more. */
function settledAtOnce(operation: Operation): boolean {
  const { isClosed, isForsaken } = operation.space;
  if (isClosed) operation.settle(0, new Uint8Array());
  else if (isForsaken) operation.settle(LATE, new Uint8Array());
  return isClosed || isForsaken;
}

function failureOf(result: number): AccessFailure {
  if (result === 0 || result === -ERRNO.ESRCH) return 'gone';
  return result === LATE ? 'late' : 'faulted';
}

/** Whether the kernel knows PROCMAP_QUERY, tried with an argument that it refuses otherwise. */
function hasMappingQuery(): boolean {
  const fd = openDescriptor('/proc/self/maps', O.RDONLY);
  if (fd < 0) return false;
  const isKnown = libc().ioctl(fd, PROCMAP_QUERY, new Uint8Array(104)) === 0 || lastErrno() !== ERRNO.ENOTTY;
  closeDescriptor(fd);
  return isKnown;
}
