/**
 * `AccessLanes`: which executor carries an access to another address space out, and when it is given up.
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
 */
import { monotonicNow } from '../clock.ts';
import { EventFd } from '../event-fd.ts';
import type { Cancellable, Reactor } from '../reactor/reactor.ts';
import type { AddressSpace } from './address-space.ts';
import { SLOTS } from './arena.ts';
import { DyingAccesses } from './dying-accesses.ts';
import { type Executor, Executors, type ExecutorsOptions } from './executor.ts';
import { Lane, type LaneRules } from './lane.ts';
import { type Operation, settleLate, suspected } from './operation.ts';
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
const MAX_WAITING_OPERATIONS = 262_144;
/** Those of a user in trouble, so that they leave the others room. */
const MAX_WAITING_IN_TROUBLE = MAX_WAITING_OPERATIONS / 4;

/** The lanes of all address spaces. Their owner disposes of them. */
export class AccessLanes {
  readonly #reactor: Reactor;
  readonly #completion = new EventFd();
  readonly #watch: Cancellable;
  readonly #executors: Executors;
  readonly #promptLane: Lane;
  readonly #conducts: UserConducts;
  readonly #refused: Operation[] = [];
  readonly #dying: DyingAccesses;

  /**
   * @param reactor of the thread that uses this object
   * @param options of the executors
   */
  constructor(reactor: Reactor, options: ExecutorsOptions) {
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
  }

  /** Takes over what was learnt about a task before its address space was opened. */
  recall(space: AddressSpace): void {
    this.#conducts.recall(space);
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

  /**
   * Has an operation carried out.
   *
   * @param operation whose permissions the executor checks
   */
  enqueue(operation: Operation): void {
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
    const killed = {
      isDead: (): boolean => this.#executors.isDead(executor),
      isEnding: (): boolean => executor.isEnding(),
    };
    this.#dying.await(operation, killed, () => proceed(conduct));
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
