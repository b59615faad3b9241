/**
 * Finds new tasks that descend from known ones by looking at all of /proc: for when no connector tells, or it lost
 * events. It holds what it has seen already; the tracker tells it what is known.
 *
 * A process of a known image was forked from a process of that image. Whose child it is:
 * 1. its parent's, when that is a known task (or is found to be one in the same search);
 * 2. a stranger's, when the parent has the same image and is not known: nothing was registered there, so nothing is
 *    inherited;
 * 3. otherwise its parent is dead or has execed, and it was adopted. It inherits what the known members of the family
 *    have, if that is the same for all, and there is no stranger who may have been the parent. Where this leaves
 *    doubt it inherits nothing: a program then misses an event, but no bit is flipped in memory nobody registered.
 *
 * One thing /proc does not show: a known process that adopts orphans (PR_SET_CHILD_SUBREAPER, or the first process of
 * a pid namespace) is taken for their parent by the first rule, although that was another of its family.
 */
import { Nanoseconds, type Pid, Tid } from '@usertrace/base';
import type { Family, KnownTask, KnownTasks, TaskHooks } from './known-tasks.ts';
import type { TaskPort, TaskSight } from './port.ts';
import type { ToldTasks } from './told-tasks.ts';

/** Threads of one process that are told apart; others' threads are not followed. */
const MAX_THREADS_SEEN = 16_384;
/**
 * An id seen less than this ago is still the same task's: giving out all ids of the smallest default range (32,768)
 * takes longer. After that the start times are compared.
 */
const TRUSTED_NS = 500_000_000;

/** Stands for the start time of a process that has ended and waits to be reaped. */
const ENDED = -1;

/** A process, seen in one of its threads. */
interface Candidate {
  readonly tid: Tid;
  readonly sight: TaskSight;
}

/** The search. One for a tracker. */
export class DescendantSearch {
  readonly #port: TaskPort;
  readonly #known: KnownTasks;
  readonly #hooks: TaskHooks;
  /** Start times of the processes that were looked at. */
  #seen = new Map<Pid, number>();
  readonly #seenThreads = new Map<Pid, Set<Tid>>();
  #newestTid = -1;
  #comparedAt = Nanoseconds(-Infinity);

  constructor(port: TaskPort, known: KnownTasks, hooks: TaskHooks) {
    this.#port = port;
    this.#known = known;
    this.#hooks = hooks;
  }

  /** Finds what is new since the last call. One read when no task was made on the system since. */
  findNew(): void {
    const newestTid = this.#port.newestTid();
    if (newestTid === this.#newestTid) return;
    this.#newestTid = newestTid;
    const formerPids = new Set(this.#known.pids());
    for (const pid of formerPids) this.#welcomeThreads(pid, this.#takeNewThreads(pid));
    this.#resolve(this.#lookAtNewProcesses());
    for (const pid of this.#known.pids())
      if (!formerPids.has(pid)) this.#welcomeThreads(pid, this.#takeNewThreads(pid));
    for (const pid of this.#seenThreads.keys())
      if (this.#known.ofProcess(pid).size === 0) this.#seenThreads.delete(pid);
  }

  /**
   * Finds what is new since an instant, without memory of what was seen: after events were lost. Orphans inherit
   * nothing then, because nobody has looked for strangers.
   *
   * @param sinceTicks tasks that were made in this tick or later and are not known are new
   * @param told the tasks that are known if they inherited something; those that are found are added
   */
  findMadeSince(sinceTicks: number, told: ToldTasks): void {
    const candidates = new Map<Pid, Candidate>();
    for (const pid of this.#port.processes()) {
      const candidate = this.#lookAtStranger(pid);
      if (candidate === undefined) continue;
      const { tid, sight } = candidate;
      if (sight.startTicks < sinceTicks) continue;
      if (!told.has(tid) && !told.has(Tid(pid))) candidates.set(pid, candidate);
      told.add(tid);
    }
    this.#resolve(candidates);
    for (const pid of this.#known.pids()) {
      const threads = this.#port.threads(pid).filter((tid) => !told.has(tid));
      this.#welcomeThreads(pid, threads, sinceTicks);
      for (const tid of threads) told.add(tid);
    }
  }

  /**
   * Prepares for the children of a task that became known because it came to register something. Its process's
   * threads of today are not its children, and there may be processes of its image that registered nothing.
   *
   * @param task the task, known already
   */
  prepareFor(task: KnownTask): void {
    const { pid, image } = task;
    // While nothing was known nobody searched; what is there now is not new to this task.
    if (this.#known.size === 1) {
      this.#newestTid = this.#port.newestTid();
      this.#seen.clear();
      this.#lookAtNewProcesses();
    }
    if (this.#known.ofProcess(pid).size === 1)
      this.#seenThreads.set(pid, new Set(this.#port.threads(pid).slice(0, MAX_THREADS_SEEN)));
    const family = image === undefined ? undefined : this.#known.family(image);
    if (family === undefined || this.#known.ofProcess(pid).size > 1) return;
    // One of a known image that was not known had inherited nothing: it was a stranger, and so may others be.
    family.isAllKnown = family.members.size === 1;
    if (!family.isAllKnown) return;
    for (const other of this.#port.processes())
      if (other !== pid) this.#noteStranger(this.#lookAtStranger(other));
  }

  #noteStranger(stranger: Candidate | undefined): void {
    const image = stranger?.sight.image;
    const family = image === undefined ? undefined : this.#known.family(image);
    if (family !== undefined) family.isAllKnown = false;
  }

  /** Looks at a process that has registered nothing. */
  #lookAtStranger(pid: Pid): Candidate | undefined {
    for (const task of this.#known.ofProcess(pid)) if (this.#hooks.hasInheritance(task)) return undefined;
    return this.#lookAtProcess(pid);
  }

  /** Looks at the leader of a process, or, when that has ended before the others, at one of those. */
  #lookAtProcess(pid: Pid): Candidate | undefined {
    const leader = Tid(pid);
    const sight = this.#port.look(leader);
    if (typeof sight !== 'string') return { tid: leader, sight };
    if (sight === 'unreadable') return undefined;
    for (const tid of this.#port.threads(pid).slice(0, MAX_THREADS_SEEN)) {
      const threadSight = tid === leader ? 'gone' : this.#port.look(tid);
      if (typeof threadSight !== 'string') return { tid, sight: threadSight };
    }
    return undefined;
  }

  #lookAtNewProcesses(): Map<Pid, Candidate> {
    const now = this.#port.now();
    const isComparing = now - this.#comparedAt > TRUSTED_NS;
    if (isComparing) this.#comparedAt = now;
    const seen = new Map<Pid, number>();
    const candidates = new Map<Pid, Candidate>();
    for (const pid of this.#port.processes()) {
      const formerStart = this.#seen.get(pid);
      if (formerStart !== undefined && !isComparing) {
        seen.set(pid, formerStart);
        continue;
      }
      const candidate = this.#lookAtProcess(pid);
      seen.set(pid, candidate?.sight.startTicks ?? ENDED);
      const isNew = candidate !== undefined && candidate.sight.startTicks !== formerStart;
      if (isNew && this.#known.ofProcess(pid).size === 0) candidates.set(pid, candidate);
    }
    this.#seen = seen;
    return candidates;
  }

  #resolve(candidates: ReadonlyMap<Pid, Candidate>): void {
    const resolved = new Map<Pid, KnownTask | undefined>();
    for (const pid of candidates.keys()) this.#resolveOne(pid, candidates, resolved);
  }

  /** Finds the parent of a candidate, after that of its parent if this is one too. Returns it if it is kin. */
  #resolveOne(
    pid: Pid,
    candidates: ReadonlyMap<Pid, Candidate>,
    resolved: Map<Pid, KnownTask | undefined>,
  ): KnownTask | undefined {
    if (resolved.has(pid)) return resolved.get(pid);
    resolved.set(pid, undefined);
    const candidate = candidates.get(pid);
    const sight = candidate?.sight;
    const family = sight?.image === undefined ? undefined : this.#known.family(sight.image);
    if (candidate === undefined || sight === undefined || family === undefined) return undefined;
    const parent =
      this.#knownOf(sight.parentPid, sight.image) ?? this.#resolveOne(sight.parentPid, candidates, resolved);
    const source = parent ?? this.#sourceOfAdopted(sight, family);
    if (source === undefined) {
      family.isAllKnown = false;
      return undefined;
    }
    const kin = this.#hooks.born({ tid: candidate.tid, pid, parent: source, sight });
    if (kin !== undefined) this.#seenThreads.set(pid, new Set([kin.tid]));
    resolved.set(pid, kin);
    return kin;
  }

  /** The known thread that speaks for a process: its leader, or else the one known longest. */
  #knownOf(pid: Pid, image: string | undefined): KnownTask | undefined {
    let speaker: KnownTask | undefined;
    for (const task of this.#known.ofProcess(pid)) {
      if (task.image !== image || !this.#hooks.hasInheritance(task)) continue;
      if ((task.tid as number) === pid) return task;
      speaker ??= task;
    }
    return speaker;
  }

  #sourceOfAdopted(sight: TaskSight, family: Family): KnownTask | undefined {
    if (!family.isAllKnown) return undefined;
    const parentSight = this.#port.look(Tid(sight.parentPid));
    if (typeof parentSight !== 'string' && parentSight.image === sight.image) return undefined;
    let source: KnownTask | undefined;
    for (const member of family.members) {
      if (!this.#hooks.hasInheritance(member) || member.startTicks > sight.startTicks) continue;
      source ??= member;
      if (member.registrations.version !== source.registrations.version) return undefined;
    }
    return source;
  }

  /** The threads that were not there the last time. */
  #takeNewThreads(pid: Pid): readonly Tid[] {
    const threads = this.#port.threads(pid).slice(0, MAX_THREADS_SEEN);
    const seen = this.#seenThreads.get(pid);
    this.#seenThreads.set(pid, new Set(threads));
    return seen === undefined ? [] : threads.filter((tid) => !seen.has(tid));
  }

  #welcomeThreads(pid: Pid, tids: readonly Tid[], sinceTicks = 0): void {
    for (const tid of tids) {
      if (this.#known.get(tid) !== undefined) continue;
      const sight = this.#port.look(tid);
      if (typeof sight === 'string' || sight.startTicks < sinceTicks) continue;
      const parent = this.#knownOf(pid, sight.image);
      if (parent !== undefined) this.#hooks.born({ tid, pid, parent, sight });
    }
  }
}
