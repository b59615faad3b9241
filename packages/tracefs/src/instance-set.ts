/**
 * The instances of a tree: the top one, which is always there, and those made by mkdir(2) below `instances`.
 * The tree holds one InstanceSet; that holds the instances.
 */

import type { ErrnoName } from '@usertrace/base';
import { TraceInstance } from './instance.ts';
import type { InstancePorts } from './instance-ports.ts';
import type { TaskRecorder } from './instance-tasks.ts';
import { Turns } from './turns.ts';

/** How many instances there can be besides the top one; each has buffers of its own. */
const INSTANCES_MAX = 256;
/** The longest name of an instance in bytes, as in the kernel (NAME_MAX); beyond it ENAMETOOLONG. */
const NAME_MAX = 255;

export class InstanceSet {
  readonly top: TraceInstance;
  readonly #ports: InstancePorts;
  readonly #tasks: TaskRecorder;
  readonly #turns: Turns;
  readonly #byName = new Map<string, TraceInstance>();

  constructor(ports: InstancePorts, tasks: TaskRecorder) {
    this.#ports = ports;
    this.#tasks = tasks;
    this.#turns = new Turns(ports.deferred);
    this.top = new TraceInstance('', ports, tasks, this.#turns, 0);
  }

  /** Every instance, the top one first. */
  *all(): Iterable<TraceInstance> {
    yield this.top;
    yield* this.#byName.values();
  }

  named(name: string): TraceInstance | undefined {
    return this.#byName.get(name);
  }

  names(): Iterable<string> {
    return this.#byName.keys();
  }

  /**
   * Makes an instance.
   *
   * @param name its directory's name, a character a byte
   * @param firstNewSequence the sequence that the catalog gives to the event made after it
   */
  make(name: string, firstNewSequence: number): 'made' | ErrnoName {
    if (name.length > NAME_MAX) return 'ENAMETOOLONG';
    if (this.#byName.has(name)) return 'EEXIST';
    if (this.#byName.size >= INSTANCES_MAX) return 'ENOMEM';
    const instance = new TraceInstance(name, this.#ports, this.#tasks, this.#turns, firstNewSequence);
    this.#byName.set(name, instance);
    return 'made';
  }

  /** Removes an instance, unless one of its files is open. */
  remove(name: string): 'removed' | ErrnoName {
    const instance = this.#byName.get(name);
    if (instance === undefined) return 'ENOENT';
    if (instance.openFiles > 0) return 'EBUSY';
    this.#byName.delete(name);
    instance.remove();
    return 'removed';
  }
}
