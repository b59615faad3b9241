/**
 * A simulated system for the tracker: a process tree that answers as /proc and kcmp(2) do and emits the connector's
 * events; each of its tasks knows what it has registered by the kernel's rules. Things also happen in the middle of the
 * tracker's work (`World.meanwhile`).
 */
import { Nanoseconds, Pid, Tid } from '@usertrace/base';
import type { ConnectorBatch } from './connector.ts';
import type { ProcessEvent } from './connector-messages.ts';
import type { EventSource, TaskPort, TaskSight } from './port.ts';
import type { Absence } from './procfs.ts';

/** What a task has registered; one object is shared by those that share it. */
export type Registrations = Set<number>;

export interface SimulatedTask {
  readonly tid: Tid;
  readonly pid: Pid;
  readonly startTicks: number;
  readonly parent: SimulatedTask | undefined;
  memory: { readonly image: string };
  registrations: Registrations | undefined;
  readonly hasExeced: boolean;
  /** Whether /proc did not show its descent when it could first be looked for: its parent had ended or execed. */
  isDescentHidden: boolean;
}

/** The process that all others descend from. */
export const INIT: Pid = Pid(1);

/** The system. */
export class World implements TaskPort, EventSource {
  readonly tasks = new Map<Tid, SimulatedTask>();
  readonly #parents = new Map<Pid, Pid>();
  readonly #exitWatches = new Map<Pid, Set<() => void>>();
  readonly #isDescentSeen = new Set<SimulatedTask>();
  #events: ProcessEvent[] = [];
  #hasOverflowed = false;
  #lastTid = 1;
  #imageCount = 0;
  #ticks = 0;
  #makings = 0;
  /** Things that happen while the tracker asks. */
  readonly meanwhile: (() => void)[] = [];
  /** What the reactor would call next. */
  readonly callbacks: (() => void)[] = [];

  readonly #maxTid: number;
  readonly #isRandomised: boolean;

  /**
   * @param maxTid few, so that ids are given out again and again
   * @param isRandomised whether images can be told apart
   */
  constructor(maxTid: number, isRandomised: boolean) {
    this.#maxTid = maxTid;
    this.#isRandomised = isRandomised;
    this.#add(Tid(INIT), INIT, undefined, { image: 'init' }, undefined);
  }

  #newTid(): Tid | undefined {
    for (let tries = 0; tries < this.#maxTid; tries++) {
      this.#lastTid = (this.#lastTid % this.#maxTid) + 1;
      if (this.#lastTid === 1) this.#ticks++;
      if (!this.tasks.has(Tid(this.#lastTid)) && !this.#parents.has(Pid(this.#lastTid)))
        return Tid(this.#lastTid);
    }
    return undefined;
  }

  #add(
    tid: Tid,
    pid: Pid,
    parent: SimulatedTask | undefined,
    memory: { image: string },
    registrations: Registrations | undefined,
  ): void {
    const isThread = (tid as number) !== pid;
    this.tasks.set(tid, {
      tid,
      pid,
      startTicks: this.#ticks,
      parent,
      memory,
      registrations,
      hasExeced: false,
      isDescentHidden: false,
    });
    this.#makings++;
    const parentPid = isThread ? (this.#parents.get(pid) ?? INIT) : (parent?.pid ?? INIT);
    const parentTid = isThread ? Tid(parentPid) : (parent?.tid ?? Tid(INIT));
    if (!isThread) this.#parents.set(pid, parentPid);
    this.#events.push({ kind: 'fork', parentTid, parentPid, childTid: tid, childPid: pid });
  }

  /** A new program, started by init. */
  start(): void {
    const tid = this.#newTid();
    if (tid !== undefined)
      this.#add(tid, Pid(tid), undefined, { image: `image ${++this.#imageCount}` }, undefined);
  }

  fork(parent: SimulatedTask, isSharing = false): SimulatedTask | undefined {
    const tid = this.#newTid();
    if (tid === undefined) return undefined;
    const registrations = isSharing
      ? parent.registrations
      : parent.registrations && new Set(parent.registrations);
    const memory = isSharing ? parent.memory : { ...parent.memory };
    this.#add(tid, Pid(tid), parent, memory, registrations);
    return this.tasks.get(tid);
  }

  /**
   * The thread that makes threads and, without the connector, processes: which one it was, nobody tells the tracker,
   * and it takes the leader if that has registered something, otherwise the one that has.
   */
  makerOf(pid: Pid): SimulatedTask | undefined {
    const leader = this.tasks.get(Tid(pid));
    if (leader?.registrations !== undefined) return leader;
    const registered = this.threadsOf(pid).filter((task) => task.registrations !== undefined);
    const isClear = registered.every((task) => task.registrations === registered[0]?.registrations);
    return isClear ? (registered[0] ?? leader) : undefined;
  }

  thread(maker: SimulatedTask): void {
    const tid = this.#newTid();
    if (tid !== undefined) this.#add(tid, maker.pid, maker, maker.memory, maker.registrations);
  }

  exec(task: SimulatedTask): void {
    const { pid } = task;
    for (const thread of this.threadsOf(pid)) if (thread.tid !== task.tid) this.#end(thread);
    this.tasks.delete(task.tid);
    const memory = { image: `image ${++this.#imageCount}` };
    const tid = Tid(pid);
    this.tasks.set(tid, {
      ...task,
      tid,
      memory,
      registrations: undefined,
      hasExeced: true,
      isDescentHidden: false,
    });
    this.#events.push({ kind: 'exec', tid, pid });
    for (const child of this.tasks.values())
      if (this.#parents.get(child.pid) === pid) this.#hideDescent(child);
  }

  exit(task: SimulatedTask): void {
    this.#end(task);
    if (this.threadsOf(task.pid).length > 0) return;
    this.#parents.delete(task.pid);
    for (const [child, parent] of this.#parents)
      if (parent === task.pid) {
        this.#parents.set(child, INIT);
        for (const thread of this.threadsOf(child)) this.#hideDescent(thread);
      }
    this.callbacks.push(...(this.#exitWatches.get(task.pid) ?? []));
  }

  #hideDescent(task: SimulatedTask): void {
    if (!this.#isDescentSeen.has(task)) task.isDescentHidden = true;
  }

  /** Says that all that is there now has been found, so later changes hide nothing. */
  markSeen(): void {
    for (const task of this.tasks.values()) this.#isDescentSeen.add(task);
  }

  #end(task: SimulatedTask): void {
    this.tasks.delete(task.tid);
    this.#events.push({ kind: 'exit', tid: task.tid, pid: task.pid });
  }

  /** Loses some of the events that wait. */
  overflow(kept: number): void {
    if (this.#events.length <= kept) return;
    this.#events.length = kept;
    this.#hasOverflowed = true;
  }

  tick(): void {
    this.#ticks++;
  }

  threadsOf(pid: Pid): SimulatedTask[] {
    return [...this.tasks.values()].filter((task) => task.pid === pid);
  }

  drain(): ConnectorBatch {
    this.meanwhile.shift()?.();
    const batch = { events: this.#events, overflowed: this.#hasOverflowed };
    this.#events = [];
    this.#hasOverflowed = false;
    return batch;
  }

  look(tid: Tid): TaskSight | Absence {
    this.meanwhile.shift()?.();
    const task = this.tasks.get(tid);
    if (task === undefined) return 'gone';
    const parentPid = this.#parents.get(task.pid) ?? INIT;
    const image = this.#isRandomised ? task.memory.image : undefined;
    return { startTicks: task.startTicks, parentPid, image, hasExeced: task.hasExeced };
  }

  processOf(tid: Tid): Pid | Absence {
    return this.tasks.get(tid)?.pid ?? 'gone';
  }

  processes(): Pid[] {
    return [...new Set([...this.tasks.values()].map((task) => task.pid))].toSorted((a, b) => a - b);
  }

  threads(pid: Pid): Tid[] {
    return this.threadsOf(pid).map((task) => task.tid);
  }

  newestTid(): number {
    return this.#makings;
  }

  sharesMemory(first: Tid, second: Tid): boolean {
    const memory = this.tasks.get(first)?.memory;
    return memory !== undefined && memory === this.tasks.get(second)?.memory;
  }

  watchExit(pid: Pid, ended: () => void): { cancel(): void } | undefined {
    const watches = this.#exitWatches.get(pid) ?? new Set();
    this.#exitWatches.set(pid, watches.add(ended));
    return { cancel: () => void watches.delete(ended) };
  }

  get watchCount(): number {
    return [...this.#exitWatches.values()].reduce((count, watches) => count + watches.size, 0);
  }

  now(): Nanoseconds {
    return Nanoseconds(this.#ticks * 1e7);
  }

  ticksAt(instant: Nanoseconds): number {
    return Math.floor(instant / 1e7);
  }
}
