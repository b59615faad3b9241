/**
 * The tasks that the tracker follows, by thread id, by process and by program image.
 *
 * A `KnownTask` is one task's run of one image: another task with the same id, or the same task after exec, is another
 * object. The table holds it until it is removed; fields do not change.
 */
import { assert, type Pid, type Tid } from '@usertrace/base';
import type { TaskSight } from './port.ts';

/** Tasks that are followed at once. Linux allows 4,194,304 at most and by default 32,768 processes. */
const MAX_KNOWN_TASKS = 65_536;

/**
 * What a task has registered, as far as it concerns kinship: equal numbers stand for equal registrations. One object
 * is shared by the tasks that share it in the kernel; a child of its own memory begins with a copy.
 */
export interface RegistrationState {
  version: number;
}

export interface KnownTask {
  readonly tid: Tid;
  readonly pid: Pid;
  /** When it was made, in ticks since the system started. */
  readonly startTicks: number;
  /** The fingerprint of the image; undefined when it cannot be known. */
  readonly image: string | undefined;
  readonly registrations: RegistrationState;
}

interface KnownProcess {
  readonly tasks: Set<KnownTask>;
  exitWatch: { cancel(): void } | undefined;
}

/** The processes of one image. */
export interface Family {
  readonly members: Set<KnownTask>;
  /**
   * Whether every process of this image is known. If not, there may be some that have registered nothing and inherited
   * nothing, and an orphan may be the child of one of these.
   */
  isAllKnown: boolean;
}

/** A task that was found to descend from a known one. */
export interface Newcomer {
  readonly tid: Tid;
  readonly pid: Pid;
  readonly parent: KnownTask;
  readonly sight: TaskSight;
}

/** What those who find out about tasks ask of the tracker, and tell it. */
export interface TaskHooks {
  /** Whether a child of a known task inherits anything. */
  hasInheritance(task: KnownTask): boolean;
  /** Makes a newcomer known. Returns undefined when it inherits nothing after all. */
  born(newcomer: Newcomer): KnownTask | undefined;
  /** Makes a known task unknown. */
  ended(task: KnownTask, how: 'execed' | 'exited'): void;
}

/** Whether two fingerprints are of different images; what is not known does not differ. */
export function isOther(first: string | undefined, second: string | undefined): boolean {
  return first !== undefined && second !== undefined && first !== second;
}

/** The table. Made and changed by the tracker only. */
export class KnownTasks {
  readonly #byTid = new Map<Tid, KnownTask>();
  readonly #processes = new Map<Pid, KnownProcess>();
  readonly #families = new Map<string, Family>();

  get size(): number {
    return this.#byTid.size;
  }

  /** In the order in which they became known. Tasks may be removed and added meanwhile. */
  all(): MapIterator<KnownTask> {
    return this.#byTid.values();
  }

  get(tid: Tid): KnownTask | undefined {
    return this.#byTid.get(tid);
  }

  pids(): MapIterator<Pid> {
    return this.#processes.keys();
  }

  /** The known threads of a process, the one known first at the beginning. */
  ofProcess(pid: Pid): ReadonlySet<KnownTask> {
    return this.#processes.get(pid)?.tasks ?? NO_TASKS;
  }

  family(image: string): Family | undefined {
    return this.#families.get(image);
  }

  get isFull(): boolean {
    return this.#byTid.size >= MAX_KNOWN_TASKS;
  }

  /** Adds a task, in place of what was known under its id. The table is not full. */
  add(tid: Tid, pid: Pid, sight: TaskSight, registrations: RegistrationState): KnownTask {
    assert(!this.isFull, 'whoever adds a task has looked whether there is room');
    const former = this.#byTid.get(tid);
    if (former !== undefined) this.remove(former);
    const { startTicks, image } = sight;
    const task: KnownTask = { tid, pid, startTicks, image, registrations };
    this.#byTid.set(tid, task);
    const known = this.#processes.get(pid);
    if (known === undefined) this.#processes.set(pid, { tasks: new Set([task]), exitWatch: undefined });
    else known.tasks.add(task);
    if (image === undefined) return task;
    const family = this.#families.get(image);
    if (family === undefined) this.#families.set(image, { members: new Set([task]), isAllKnown: false });
    else family.members.add(task);
    return task;
  }

  /** Removes a task. Of one that is not there (any more) nothing happens. */
  remove(task: KnownTask): void {
    if (this.#byTid.get(task.tid) !== task) return;
    this.#byTid.delete(task.tid);
    const known = this.#processes.get(task.pid);
    known?.tasks.delete(task);
    if (known?.tasks.size === 0) {
      known.exitWatch?.cancel();
      this.#processes.delete(task.pid);
    }
    if (task.image === undefined) return;
    const family = this.#families.get(task.image);
    family?.members.delete(task);
    if (family?.members.size === 0) this.#families.delete(task.image);
  }

  /**
   * Keeps what watches the end of a process until its last task is removed.
   *
   * @param watch makes it; not called when there is one already
   */
  watchExit(pid: Pid, watch: () => { cancel(): void } | undefined): void {
    const known = this.#processes.get(pid);
    if (known !== undefined) known.exitWatch ??= watch();
  }
}

const NO_TASKS: ReadonlySet<KnownTask> = new Set();
