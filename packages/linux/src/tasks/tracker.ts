/**
 * Who is a task, with whom does it share memory, from whom does it descend: follows the tasks that registered
 * something, and tells a sink when one forks, execs or exits, as the kernel's hooks would.
 *
 * It has two ways to learn of it. With the process connector, or engines on the tasks, it drains the events: exact. Without, it searches /proc
 * for descendants whenever a task was made on the system, and looks again at the tasks it knows. When the connector
 * lost events, it searches once.
 *
 * The server calls `catchUp` before whatever depends on who has registered what, so a child inherits what its parent
 * had when it was made: nothing is registered between two calls without one. It then calls `identify` for the task
 * that asks. One tracker holds its known tasks and the search; it belongs to the serving thread.
 */
import type { Pid, Tid } from '@usertrace/base';
import { DescendantSearch } from './descendant-search.ts';
import { EventFollower } from './event-follower.ts';
import { isOther, type KnownTask, KnownTasks, type Newcomer, type TaskHooks } from './known-tasks.ts';
import type { EventSource, TaskPort, TaskSight, TaskSink } from './port.ts';

/** Known tasks looked at again by one `catchUp` without the connector: 0.3 ms. `sweep` looks at all. */
const LOOKS_PER_CATCH_UP = 32;
/**
 * Tasks found ended are looked at again after what they did before is fetched, which may find others. So often; a
 * rest waits for the next call.
 */
const MAX_ROUNDS = 8;

/** Who asks. */
export interface TaskIdentity {
  readonly tid: Tid;
  /** The process it is a thread of. */
  readonly pid: Pid;
  /** When it was made, in ticks since the system started: with the tid it names one task for ever. */
  readonly startTicks: number;
}

/** The tracker. */
export class TaskTracker {
  readonly #port: TaskPort;
  readonly #sink: TaskSink;
  readonly #known = new KnownTasks();
  readonly #search: DescendantSearch;
  /** Both undefined without the connector, and without another source of events. */
  readonly #source: EventSource | undefined;
  readonly #follower: EventFollower | undefined;
  /**
   * Where `#takeSome` goes on. None is held that is not used: V8 keeps all former contents of a Map for an iterator that
   * stands still.
   */
  #turn: MapIterator<KnownTask> | undefined;
  /** Found since the last `#settle`, or to be looked at by it for another reason. */
  #found: KnownTask[] = [];
  #registrationVersion = 0;

  /**
   * @param port the system
   * @param source the process connector, or engines on the tasks; undefined to do without
   * @param sink is told; it calls nothing here in turn
   */
  constructor(port: TaskPort, source: EventSource | undefined, sink: TaskSink) {
    this.#port = port;
    this.#sink = sink;
    const hooks: TaskHooks = {
      hasInheritance: (task) => this.#hasInheritance(task),
      born: (newcomer) => this.#bear(newcomer),
      ended: (task, how) => this.#end(task, how),
    };
    this.#source = source;
    this.#search = new DescendantSearch(port, this.#known, hooks);
    if (source !== undefined)
      this.#follower = new EventFollower(source, port, this.#known, this.#search, hooks);
  }

  /** How many tasks are followed. */
  get knownCount(): number {
    return this.#known.size;
  }

  /**
   * Tells the sink everything that happened before this call. With the connector that is all; without, an exec or
   * exit may be missing if more than 32 tasks are known: `sweep` finds those.
   */
  catchUp(): void {
    this.#fetch();
    this.#settle(this.#follower === undefined ? this.#takeSome() : []);
  }

  /**
   * `catchUp`, and looks at every known task: 10 µs each. For requests whose answer depends on who is still there (DEL,
   * the status file). With the connector too: it tells of an exit a moment after the parent could know.
   */
  sweep(): void {
    this.#fetch();
    this.#settle([...this.#known.all()]);
  }

  /**
   * Makes a task known that asks to register or unregister something. Call `catchUp` first, and nothing else of the
   * tracker until the request has changed the sink.
   *
   * @param tid the requester
   * @returns undefined when it is gone, or we may not look at it
   */
  identify(tid: Tid): TaskIdentity | undefined {
    let task = this.#known.get(tid);
    const sight = this.#port.look(tid);
    if (typeof sight === 'string') return undefined;
    if (task !== undefined && !this.#isStill(task, sight)) task = undefined;
    task ??= this.#introduce(tid, sight);
    if (task === undefined) return undefined;
    task.registrations.version = ++this.#registrationVersion;
    return { tid, pid: task.pid, startTicks: sight.startTicks };
  }

  #introduce(tid: Tid, sight: TaskSight): KnownTask | undefined {
    const pid = this.#port.processOf(tid);
    if (typeof pid === 'string' || this.#known.isFull) return undefined;
    const task = this.#known.add(tid, pid, sight, { version: 0 });
    this.#source?.follow?.(pid);
    if (this.#follower === undefined) {
      this.#search.prepareFor(task);
      this.#watchExit(pid);
    }
    return task;
  }

  #watchExit(pid: Pid): void {
    const ended = (): void => {
      this.#fetch();
      this.#settle([...this.#known.ofProcess(pid)]);
    };
    this.#known.watchExit(pid, () => this.#port.watchExit(pid, ended));
  }

  /** Tells the sink what is new. */
  #fetch(): void {
    if (this.#follower === undefined) {
      if (this.#known.size > 0) this.#search.findNew();
    } else if (this.#follower.fetch() === 'incomplete') this.#found = [...this.#known.all()];
  }

  /**
   * Looks at some known tasks, and once more at those that were just found. What those that have ended did before is
   * fetched, and only then the sink is told of the end: they may have left children.
   */
  #settle(tasks: readonly KnownTask[]): void {
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const ended = [...(round === 0 ? tasks : []), ...this.#found].filter(
        (task) => !this.#isUnchanged(task),
      );
      this.#found = [];
      if (ended.length === 0) return;
      this.#fetch();
      for (const task of ended) this.#lookAgain(task);
    }
  }

  /** Tells the sink of a new task and makes it known. Returns undefined when it inherits nothing. */
  #bear({ tid, pid, parent, sight }: Newcomer): KnownTask | undefined {
    if (!this.#hasInheritance(parent) || this.#known.isFull || this.#known.get(tid) !== undefined)
      return undefined;
    const isSharing = parent.pid === pid || this.#isSharing(parent, tid);
    this.#sink.taskForked(parent.tid, tid, isSharing, () => this.#isAsMade(tid, sight));
    // The sink has limits of its own.
    if (!this.#sink.hasAddressSpace(tid)) return undefined;
    const { registrations } = parent;
    const child = this.#known.add(tid, pid, sight, isSharing ? registrations : { ...registrations });
    this.#found.push(child);
    if (this.#follower === undefined) this.#watchExit(pid);
    return child;
  }

  /** Whether a new task surely has the memory it was made with, as it had when it was seen before. */
  #isAsMade(tid: Tid, formerSight: TaskSight): boolean {
    const sight = this.#port.look(tid);
    if (typeof sight === 'string' || sight.startTicks !== formerSight.startTicks) return false;
    // Kernels that do not say whether it has execed say it always has. An image never comes back.
    return !sight.hasExeced || (formerSight.image !== undefined && sight.image === formerSight.image);
  }

  /** Whether a new process uses the memory of the task that made it: this one, or, if it has gone on, its sharers. */
  #isSharing(parent: KnownTask, tid: Tid): boolean {
    if (this.#port.sharesMemory(parent.tid, tid)) return true;
    const family = parent.image === undefined ? undefined : this.#known.family(parent.image);
    for (const { tid: sharer, registrations } of family?.members ?? [])
      if (registrations === parent.registrations && this.#port.sharesMemory(sharer, tid)) return true;
    return false;
  }

  #hasInheritance(task: KnownTask): boolean {
    return this.#sink.hasAddressSpace(task.tid);
  }

  /** The known tasks whose turn it is to be looked at. */
  #takeSome(): readonly KnownTask[] {
    const tasks: KnownTask[] = [];
    while (tasks.length < LOOKS_PER_CATCH_UP) {
      this.#turn ??= this.#known.all();
      const { value: task, done } = this.#turn.next();
      if (done === true) {
        this.#turn = undefined;
        break;
      }
      tasks.push(task);
    }
    return tasks;
  }

  /** Whether a known task is alive, runs the same image, and is worth to be known. */
  #isUnchanged(task: KnownTask): boolean {
    const sight = this.#port.look(task.tid);
    if (sight === 'unreadable') return true;
    if (sight === 'gone' || task.startTicks !== sight.startTicks || isOther(task.image, sight.image))
      return false;
    return this.#hasInheritance(task);
  }

  #lookAgain(task: KnownTask): void {
    const sight = this.#port.look(task.tid);
    if (sight === 'gone') this.#end(task, 'exited');
    else if (sight !== 'unreadable' && this.#isStill(task, sight) && !this.#hasInheritance(task))
      this.#known.remove(task);
  }

  /** Whether a known task is what is seen under its id. If not, the sink is told what became of it. */
  #isStill(task: KnownTask, sight: TaskSight): boolean {
    if (task.startTicks !== sight.startTicks) this.#end(task, 'exited');
    else if (isOther(task.image, sight.image))
      for (const thread of this.#known.ofProcess(task.pid)) this.#end(thread, 'execed');
    else return true;
    return false;
  }

  #end(task: KnownTask, how: 'execed' | 'exited'): void {
    if (this.#known.get(task.tid) !== task) return;
    this.#known.remove(task);
    if (!this.#sink.hasAddressSpace(task.tid)) return;
    if (how === 'execed') this.#sink.taskExeced(task.tid);
    else this.#sink.taskExited(task.tid);
  }
}
