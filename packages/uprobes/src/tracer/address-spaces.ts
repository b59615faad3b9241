/**
 * The address spaces of the processes that are traced. Processes share one after vfork until the child executes; a space is closed
 * when its last process has gone.
 */

import { ProbedSpace, type SpaceParts } from './probed-space.ts';

/** Those of all processes. */
export class AddressSpaces {
  readonly #parts: SpaceParts;
  readonly #byProcess = new Map<number, ProbedSpace>();

  constructor(parts: SpaceParts) {
    this.#parts = parts;
  }

  /** Those there are, by process id. */
  get byProcess(): ReadonlyMap<number, ProbedSpace> {
    return this.#byProcess;
  }

  /** @returns the process's space, a new one if it has none */
  of(tgid: number): ProbedSpace {
    return this.#byProcess.get(tgid) ?? this.#use(tgid, new ProbedSpace(this.#parts));
  }

  /** A child has a copy of its parent's memory. */
  fork(parent: number, child: number): void {
    this.#use(child, this.of(parent).fork());
  }

  /** A child runs in its parent's memory. */
  share(parent: number, child: number): void {
    this.#use(child, this.of(parent));
  }

  /** A process has new memory: it has executed a program. */
  renew(tgid: number): void {
    this.#use(tgid, new ProbedSpace(this.#parts));
  }

  /** A process has ended. */
  drop(tgid: number): void {
    const space = this.#byProcess.get(tgid);
    this.#byProcess.delete(tgid);
    space?.users.delete(tgid);
    if (space?.users.size === 0) space.close();
  }

  close(): void {
    for (const tgid of this.#byProcess.keys()) this.drop(tgid);
  }

  #use(tgid: number, space: ProbedSpace): ProbedSpace {
    this.drop(tgid);
    space.users.add(tgid);
    this.#byProcess.set(tgid, space);
    return space;
  }
}
