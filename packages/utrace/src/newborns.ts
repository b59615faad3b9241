/**
 * Brings traced children and their parents together. A child's first stop and its parent's event for it may be told in any
 * order. A child without a parent yet is kept stopped; if the parent was killed before its event was told, the child is given
 * after ADOPTION_MS, twice that at most, to those who follow its family.
 */
import { PTRACE_EVENT, SIGNAL, stopStatus, taskEnd } from '@usertrace/abi';
import type { Clock, Deferred, PtracePort } from './port.ts';
import type { ProcessEngine } from './process-engine.ts';
import { Task } from './task.ts';
import type { TaskHost } from './task-host.ts';
import type { TaskTable } from './task-table.ts';
import { UNKNOWN_OPTIONS } from './trace-options.ts';

const ADOPTION_MS = 200;
/** Children that died or were let go before their parents' events were told. */
const MAX_LOST = 4_096;

/** Children that were born traced. */
export class Newborns {
  readonly #host: TaskHost;
  readonly #port: PtracePort;
  readonly #clock: Clock;
  readonly #tasks: TaskTable;
  readonly #processes: Iterable<ProcessEngine>;
  /** Those whose parents' events were not told yet. */
  readonly #unclaimed = new Set<Task>();
  /** Of those, the ones that were there at the last look: at the next one they are adopted. */
  #waited: Task[] = [];
  #look: Deferred | undefined;
  readonly #lost = new Set<number>();

  /** @param processes who may follow them */
  constructor(host: TaskHost, clock: Clock, tasks: TaskTable, processes: Iterable<ProcessEngine>) {
    this.#host = host;
    this.#port = host.port;
    this.#clock = clock;
    this.#tasks = tasks;
    this.#processes = processes;
  }

  /** A child stopped before its parent's event was told. */
  meet(tid: number, status: number): void {
    if (this.#tasks.isFull) {
      this.#port.detach(tid, 0);
      return;
    }
    const task = this.#tasks.add(tid, tid, 'stopped', UNKNOWN_OPTIONS);
    task.isHeld = true;
    this.#unclaimed.add(task);
    this.#look ??= this.#clock.after(ADOPTION_MS, this.#lookAgain);
    task.handle(status);
  }

  /**
   * A parent stopped for having made a child.
   *
   * @param event PTRACE_EVENT.FORK, VFORK or CLONE
   */
  birth(parent: Task, event: number): void {
    const childTid = this.#port.eventMessage(parent.tid);
    if (childTid <= 0) {
      // The parent was killed in this stop. Its end comes; the child is adopted.
      parent.handle(stopStatus(SIGNAL.TRAP, PTRACE_EVENT.VFORK_DONE));
      return;
    }
    const isFork = event !== PTRACE_EVENT.CLONE;
    const kind = event === PTRACE_EVENT.FORK ? 'fork' : event === PTRACE_EVENT.VFORK ? 'vfork' : 'clone';
    let child = this.#tasks.get(childTid);
    if (this.#lost.delete(childTid) && child === undefined) {
      child = new Task(this.#host, childTid, childTid, 'stopped', UNKNOWN_OPTIONS);
      child.died(taskEnd(SIGNAL.KILL));
    }
    const isNew = child === undefined;
    child ??= this.#tasks.add(childTid, childTid, 'running', UNKNOWN_OPTIONS);
    this.#claim(child);
    if (!isFork && child.state !== 'gone') child.tgid = this.#port.status(childTid)?.tgid ?? childTid;
    child.inherit(parent);
    if (isNew || child.engines.length === 0) child.isFiltered = parent.isFiltered;
    parent.handleBirth(child, { kind, isThread: child.tgid === parent.tgid });
  }

  /** A child died, or was let go. */
  gone(task: Task): void {
    if (this.#unclaimed.has(task)) this.lost(task.tid);
    this.#claim(task);
  }

  /** A child ended before it was known. */
  lost(tid: number): void {
    if (this.#lost.size >= MAX_LOST) this.#lost.clear();
    this.#lost.add(tid);
  }

  /** Nobody follows any of them. */
  releaseAll(): void {
    for (const task of this.#unclaimed) task.isHeld = false;
    this.rest();
  }

  /** Nothing is traced. */
  rest(): void {
    this.#look?.cancel();
    this.#look = undefined;
    this.#waited = [];
  }

  /** One timer for all: most are claimed some microseconds after they were met. */
  readonly #lookAgain = (): void => {
    const waited = this.#waited.filter((task) => this.#unclaimed.has(task));
    this.#waited = [...this.#unclaimed].filter((task) => !waited.includes(task));
    this.#look = this.#waited.length === 0 ? undefined : this.#clock.after(ADOPTION_MS, this.#lookAgain);
    for (const task of waited) this.#adopt(task);
  };

  /** Its parent's event was told, or it died, or nobody waits for that any longer. */
  #claim(task: Task): void {
    this.#unclaimed.delete(task);
  }

  /** Gives a child whose parent was killed to those who follow its family, or lets it go. */
  #adopt(task: Task): void {
    this.#claim(task);
    const status = this.#port.status(task.tid);
    if (status !== undefined) task.tgid = status.tgid;
    const isThread = task.tgid !== task.tid;
    for (const group of this.#processes) {
      if (isThread ? group.has(task.tgid) : group.follow && group.mayHaveMade(status?.parentPid ?? 0))
        group.attachTo(task);
    }
    task.release();
    if (task.state === 'gone') this.lost(task.tid);
  }
}
