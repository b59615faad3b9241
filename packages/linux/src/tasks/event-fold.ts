/**
 * What a batch of connector events comes to: which tasks were born to known ones and still live, and which known ones
 * ended. Nothing that the sink holds changes while a batch is worked off, so a grandchild whose parent has ended in
 * the same batch has just what the grandparent had, and the parent need never be shown to the sink, which could not
 * open its memory any more.
 *
 * The events name the real parent, which for clone(CLONE_PARENT) is not who called it: such a child inherits nothing.
 *
 * After a search for what lost events told of, a thread may be unknown although it had registrations: it made a process
 * and ended while we searched. Its child inherits what the search would have given it, had it come a little earlier
 * (`UnknownThreads`).
 *
 * One fold lives for one batch, which may come in parts (`take`), and changes no `KnownTask`.
 */
import { assert, type Pid, type Tid } from '@usertrace/base';
import type { ProcessEvent } from './connector-messages.ts';
import type { KnownTask, KnownTasks, TaskHooks } from './known-tasks.ts';
import type { ToldTasks } from './told-tasks.ts';

/** A task that was made during the batch. */
export interface Birth {
  readonly kind: 'birth';
  readonly tid: Tid;
  readonly pid: Pid;
  readonly parent: KnownTask | Birth;
  /** When its first ancestor in this batch was made: an event's number. The known ancestor lived then. */
  readonly at: number;
  /** Whether it has exited or execed since. */
  isOver: boolean;
}

/** Known tasks that ended: all of a process by exec, one by exit. */
export interface Ending {
  readonly kind: 'execed' | 'exited';
  readonly tasks: readonly KnownTask[];
  readonly at: number;
}

/**
 * What is thought of a thread that is unknown, of a process that is known: it has registered and inherited nothing
 * (`strangers`), or, if it is none of those whose making was told of, it may have what the others have.
 */
export type UnknownThreads = 'strangers' | { readonly strangersAmong: ToldTasks };

type Relative = KnownTask | Birth;

const isBirth = (relative: Relative): relative is Birth => 'kind' in relative;

/** The fold of one batch. */
export class EventFold {
  readonly #known: KnownTasks;
  readonly #hooks: TaskHooks;
  readonly #unknownThreads: UnknownThreads;
  readonly #steps: (Birth | Ending)[] = [];
  /** Births of which no event told that they are over. */
  readonly #born = new Map<Tid, Birth>();
  readonly #bornOfProcess = new Map<Pid, Set<Birth>>();
  readonly #ended = new Set<KnownTask>();
  #eventCount = 0;

  /**
   * @param known the tasks that are known when the batch begins
   * @param hooks asked whose children inherit anything
   * @param unknownThreads `strangers` unless events were lost before this batch
   */
  constructor(known: KnownTasks, hooks: TaskHooks, unknownThreads: UnknownThreads) {
    this.#known = known;
    this.#hooks = hooks;
    this.#unknownThreads = unknownThreads;
  }

  /** Takes the events that come after those it was given before. */
  take(events: readonly ProcessEvent[]): void {
    for (const event of events) {
      this.#eventCount++;
      if (event.kind === 'fork') this.#fork(event);
      else if (event.kind === 'exec') this.#end(this.#membersOf(event.pid), 'execed');
      else if (event.kind === 'exit') this.#end(this.#relatives(event.tid), 'exited');
    }
  }

  /** The births that are not over, parents first. */
  get living(): readonly Birth[] {
    return [...this.#born.values()].filter((birth) => !birth.isOver);
  }

  /**
   * Says that a birth turned out to be over although no event has told so yet. Events of what it did before may still
   * come.
   */
  markOver(birth: Birth): void {
    birth.isOver = true;
  }

  /** What is to be told to the sink, in order. */
  steps(): readonly (Birth | Ending)[] {
    return this.#steps
      .filter((step) => step.kind !== 'birth' || !step.isOver)
      .toSorted((first, second) => first.at - second.at);
  }

  /**
   * Whose registrations a birth has.
   *
   * @param birth one that is not over
   * @returns its parent; or, as that is over, another thread of the same process, which shares them; or else the nearest
   *   ancestor that is not
   */
  sourceOf(birth: Birth): KnownTask | Birth {
    let source = birth.parent;
    while (isBirth(source) && source.isOver) {
      const heir = source.pid === birth.pid ? this.#firstLiving(birth.pid) : birth;
      source = heir === birth || heir === undefined ? source.parent : heir;
    }
    return source;
  }

  #firstLiving(pid: Pid): Birth | undefined {
    for (const birth of this.#bornOfProcess.get(pid) ?? []) if (!birth.isOver) return birth;
    return undefined;
  }

  /** The image that a birth began with. */
  static imageOf(birth: Birth): string | undefined {
    let ancestor = birth.parent;
    while (isBirth(ancestor)) ancestor = ancestor.parent;
    return ancestor.image;
  }

  #fork(event: ProcessEvent & { kind: 'fork' }): void {
    const { childTid: tid, childPid: pid } = event;
    // It was found in /proc before the event came, after others had been lost.
    if (this.#relatives(tid).length > 0) return;
    // A new thread has the parent of its process, and which thread made it is not told: we take the leader.
    const candidates = (tid as number) === pid ? this.#makersOf(event) : this.#membersOf(pid);
    const parents = candidates.filter((parent) => isBirth(parent) || this.#hooks.hasInheritance(parent));
    const parent = parents.find((candidate) => (candidate.tid as number) === candidate.pid) ?? parents[0];
    if (parent === undefined) return;
    const at = isBirth(parent) ? parent.at : this.#eventCount;
    const birth: Birth = { kind: 'birth', tid, pid, parent, at, isOver: false };
    this.#steps.push(birth);
    this.#born.set(tid, birth);
    const siblings = this.#bornOfProcess.get(pid);
    if (siblings === undefined) this.#bornOfProcess.set(pid, new Set([birth]));
    else siblings.add(birth);
  }

  #end(relatives: readonly Relative[], kind: 'execed' | 'exited'): void {
    const tasks: KnownTask[] = [];
    for (const relative of relatives) {
      if (isBirth(relative)) {
        relative.isOver = true;
        this.#born.delete(relative.tid);
        this.#bornOfProcess.get(relative.pid)?.delete(relative);
      } else {
        assert(!this.#ended.has(relative), 'a task ends once');
        this.#ended.add(relative);
        tasks.push(relative);
      }
    }
    if (tasks.length > 0) this.#steps.push({ kind, tasks, at: this.#eventCount });
  }

  /** Who may have made a process: one task as a rule. */
  #makersOf({ parentTid, parentPid }: ProcessEvent & { kind: 'fork' }): readonly Relative[] {
    const makers = this.#relatives(parentTid);
    if (makers.length > 0 || this.#unknownThreads === 'strangers') return makers;
    return this.#unknownThreads.strangersAmong.has(parentTid) ? [] : this.#membersOf(parentPid);
  }

  /** The task of that id now, as a list of none or one. */
  #relatives(tid: Tid): readonly Relative[] {
    const birth = this.#born.get(tid);
    if (birth !== undefined) return [birth];
    const task = this.#known.get(tid);
    return task === undefined || this.#ended.has(task) ? [] : [task];
  }

  #membersOf(pid: Pid): readonly Relative[] {
    const known = [...this.#known.ofProcess(pid)].filter((task) => !this.#ended.has(task));
    return [...known, ...(this.#bornOfProcess.get(pid) ?? [])];
  }
}
