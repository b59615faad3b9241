/**
 * Reads and writes in other processes' memory, off the serving thread and with a deadline.
 *
 * An operation goes to the prompt lane, where it normally takes a few microseconds. What hangs there for
 * `PROMPT_NS` makes its address space suspect: that operation and all others of the address space, as long as it is
 * suspect, go to a patient lane, one at a time, where each may take `PATIENT_NS` and is then settled as late. So a
 * hung page delays operations of others by `PROMPT_NS` once. A user whose pages do this again and again gets a prompt
 * lane alone (user-conduct.ts); each user in trouble has a patient one. Operations of one address space keep their
 * order.
 *
 * A late operation is dead: its executor was killed. Only one that waits uninterruptibly, for a page of a file system
 * that does not answer, cannot be ended; then nothing else is tried in that address space (dying-accesses.ts).
 *
 * Writes have the effect that the kernel's own user_events has: only where the program itself may write.
 */
import { type Address, assert, ERRNO, type Tid, type Uid } from '@usertrace/base';
import { lastErrno, libc } from '../bindings.ts';
import { monotonicNow } from '../clock.ts';
import { closeDescriptor, O, openDescriptor } from '../descriptor.ts';
import { EventFd } from '../event-fd.ts';
import type { Cancellable, Reactor } from '../reactor/reactor.ts';
import { AddressSpace } from './address-space.ts';
import { SLOTS } from './arena.ts';
import { DyingAccesses } from './dying-accesses.ts';
import { type Executor, Executors } from './executor.ts';
import { Lane, type LaneRules } from './lane.ts';
import { MappingReader } from './mapping-reader.ts';
import {
  KIND,
  LATE,
  MAX_OPERATION_BYTES,
  newOperation,
  type Operation,
  REQUIRED,
  settleLate,
  suspected,
} from './operation.ts';
import { UserConduct } from './user-conduct.ts';
import { MAX_CONDUCTS, UserConducts } from './user-conducts.ts';

/** The one of the lane of all, and those of users in trouble. */
const MAX_EXECUTORS = 1 + 2 * MAX_CONDUCTS;

/** How long others wait for an access that hangs for the first time. */
const PROMPT_NS = 5_000_000;
/** How long a suspect access may take. */
const PATIENT_NS = 100_000_000;
/** A suspect operation that has not begun after so long is late without a try: all those before it hung. */
const MAX_SUSPECT_WAIT_NS = 1_000_000_000;
/** The same in a user's own lane, where operations that do not hang wait as well. */
const MAX_CONFINED_WAIT_NS = 10_000_000_000;
/** A sleeping thread costs 25 to 50 µs a round trip, so it pays to stay awake for a batch of a few operations. */
const PROMPT_SPIN_NS = 20_000;

/** Operations that may wait: eight for each of the 32,768 events there can be. One more is late at once. */
export const MAX_WAITING_OPERATIONS = 262_144;
/** Those of a user in trouble, so that they leave the others room. */
const MAX_WAITING_IN_TROUBLE = MAX_WAITING_OPERATIONS / 4;

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
  /** Whether to use close_range(2); found out if left out. */
  readonly hasCloseRange?: boolean;
}

/** Other processes' memory. Its owner disposes of it. */
export class RemoteMemory {
  readonly #reactor: Reactor;
  readonly #completion = new EventFd();
  readonly #watch: Cancellable;
  readonly #executors: Executors;
  readonly #promptLane: Lane;
  readonly #conducts: UserConducts;
  readonly #refused: Operation[] = [];
  readonly #dying: DyingAccesses;
  readonly #mappingReader: MappingReader | undefined;

  /** @param reactor of the thread that uses this object */
  constructor(reactor: Reactor, options: RemoteMemoryOptions = {}) {
    this.#reactor = reactor;
    this.#executors = new Executors(this.#completion.fd, MAX_EXECUTORS, options);
    this.#promptLane = this.#newPromptLane((operation) => this.#admitsPromptly(operation));
    this.#conducts = new UserConducts(reactor, () => this.#newConduct());
    this.#dying = new DyingAccesses(reactor, (space, operations) =>
      this.#conducts.toBlame(space).patientLane.enqueueFirst(operations),
    );
    this.#watch = reactor.watch(this.#completion.fd, () => {
      this.#completion.clear();
      this.#promptLane.schedule();
      this.#conducts.forEach(({ ownLane, patientLane }) => {
        ownLane.schedule();
        patientLane.schedule();
      });
    });
    if (!(options.hasMappingQuery ?? hasMappingQuery()))
      this.#mappingReader = new MappingReader((operation) => this.#enqueue(operation));
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
    if (space !== undefined) this.#conducts.recall(space);
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
    this.#promptLane.dispose();
    this.#conducts.dispose();
    this.#dying.dispose();
    for (const refused of this.#refused.splice(0)) settleLate(refused);
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
    if (this.#promptLane.size + this.#conducts.size >= MAX_WAITING_OPERATIONS) this.#refuse(operation);
    else this.#promptLane.enqueue(operation);
  }

  /** Settles an operation as late, in deferred work: one piece of it for all, for they come in hundreds of thousands. */
  #refuse(operation: Operation): void {
    this.#refused.push(operation);
    if (this.#refused.length > 1) return;
    this.#reactor.defer(() => {
      for (const refused of this.#refused.splice(0)) settleLate(refused);
    });
  }

  #newPromptLane(admits: LaneRules['admits']): Lane {
    return new Lane(this.#reactor, this.#executors, {
      patienceNs: PROMPT_NS,
      depth: SLOTS,
      spinNs: PROMPT_SPIN_NS,
      admits,
      expired: (operation, executor) =>
        this.#expired(operation, executor, ({ patientLane }) =>
          patientLane.enqueueFirst([suspected(operation)]),
        ),
    });
  }

  /** A record with lanes of its own. */
  #newConduct(): UserConduct {
    const ownLane = this.#newPromptLane((operation) => this.#admitsConfined(operation, conduct));
    const patientLane = new Lane(this.#reactor, this.#executors, {
      patienceNs: PATIENT_NS,
      depth: 1,
      spinNs: 0,
      admits: (operation) => this.#admitsSuspect(operation, conduct),
      expired: (operation, executor) => this.#expired(operation, executor, () => settleLate(operation)),
    });
    const conduct = new UserConduct(this.#reactor, ownLane, patientLane, (executor) =>
      this.#executors.isDead(executor),
    );
    return conduct;
  }

  #expired(operation: Operation, executor: Executor, proceed: (conduct: UserConduct) => void): void {
    const conduct = this.#conducts.toBlame(operation.space);
    conduct.hung(operation.space, executor);
    this.#dying.await(
      operation,
      () => this.#executors.isDead(executor),
      () => proceed(conduct),
    );
  }

  #admitsPromptly(operation: Operation): boolean {
    const conduct = this.#conducts.of(operation.space);
    if (conduct === undefined) return !settledAtOnce(operation);
    if (!this.#admitsTrusted(operation, conduct)) return false;
    if (!this.#conducts.isConfined(conduct)) return true;
    if (conduct.size >= MAX_WAITING_IN_TROUBLE) settleLate(operation);
    else conduct.ownLane.enqueue(operation);
    return false;
  }

  #admitsConfined(operation: Operation, conduct: UserConduct): boolean {
    if (monotonicNow() - operation.wantedNs <= MAX_CONFINED_WAIT_NS)
      return this.#admitsTrusted(operation, conduct);
    settleLate(operation);
    return false;
  }

  /** Takes care of operations that are not to be tried among those of address spaces that are trusted. */
  #admitsTrusted(operation: Operation, conduct: UserConduct): boolean {
    if (settledAtOnce(operation, conduct)) return false;
    if (!operation.space.isSuspect) return true;
    if (conduct.size >= MAX_WAITING_IN_TROUBLE) settleLate(operation);
    else conduct.patientLane.enqueue(suspected(operation));
    return false;
  }

  #admitsSuspect(operation: Operation, conduct: UserConduct): boolean {
    if (settledAtOnce(operation, conduct)) return false;
    if (monotonicNow() - operation.wantedNs > MAX_SUSPECT_WAIT_NS) {
      settleLate(operation);
      return false;
    }
    return !this.#dying.postpones(operation);
  }
}

/** Settles what cannot be done any more. */
function settledAtOnce(operation: Operation, conduct?: UserConduct): boolean {
  const { isClosed, isForsaken } = operation.space;
  if (isClosed) operation.settle(0, new Uint8Array());
  else if (isForsaken) settleLate(operation);
  else if (conduct?.holdsTooMany === true) conduct.turnAway(operation);
  else return false;
  return true;
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
