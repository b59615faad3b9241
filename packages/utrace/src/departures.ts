/**
 * Tasks that are not there any more, and how that is found out where wait(2) does not tell it: a process's end takes threads
 * along, and an exec by another thread than the leader ends the leader without a word and gives its number away (ptrace(2),
 * "execve(2) under ptrace").
 */
import { SIGNAL, type TaskEnd, taskEnd } from '@usertrace/abi';
import type { PtracePort } from './port.ts';
import type { Task } from './task.ts';
import type { TaskTable } from './task-table.ts';

/** Finds the ends of tasks. */
export class Departures {
  readonly #port: PtracePort;
  readonly #tasks: TaskTable;
  /** Tasks that were not there when something was asked of them, or are to stop and be let go: they may have been replaced. */
  readonly #doubtful = new Set<Task>();
  /** Leaders whose other threads need not be traced: nothing is told when one of those executes a program. */
  readonly #leadersAlone = new Set<Task>();
  /** The end of a leader is one by exec: its process lives. */
  #isExecuting = false;

  constructor(port: PtracePort, tasks: TaskTable) {
    this.#port = port;
    this.#tasks = tasks;
  }

  /** It is looked for again until it is gone. */
  doubt(task: Task): void {
    if (task.state !== 'gone') this.#doubtful.add(task);
  }

  /** A task was attached to without the other threads of its process. */
  attachedAlone(task: Task): void {
    if (task.tid === task.tgid) this.#leadersAlone.add(task);
  }

  /** It is gone, or was let go. */
  settled(task: Task): void {
    this.#doubtful.delete(task);
    this.#leadersAlone.delete(task);
  }

  /** A task did not answer: it is dying, of which will be told, or was replaced. */
  look(task: Task): void {
    if (task.state === 'gone' || task.state === 'stopped') return;
    const isOurs = this.#isTraced(task.tid);
    // A thread that executes a program has its leader's number before that is told.
    const mayExecute = isOurs === undefined && this.#isTraced(task.tgid) === true;
    if (isOurs === true || mayExecute) this.#doubtful.add(task);
    else this.#endByExec(task);
  }

  /** Looks at all that are in doubt, and at leaders alone: some 30 µs for each. */
  lookAgain(): void {
    for (const leader of this.#leadersAlone)
      if (this.#isTraced(leader.tid) === false) this.#endByExec(leader);
    const doubtful = [...this.#doubtful];
    this.#doubtful.clear();
    for (const task of doubtful) this.look(task);
  }

  /**
   * A leader has ended; that is told last, so that no other thread is left. One that was executing a program when it was killed had the
   * leader's number by then, and nothing was told of it by its own.
   */
  processEnded(tgid: number, end: TaskEnd): void {
    if (this.#isExecuting) return;
    this.#port.forgetChild(tgid, end);
    for (const task of this.#tasks.threadsOf(tgid)) task.died(end);
  }

  /**
   * A program was executed. A thread that is not the leader takes the leader's number.
   *
   * @param tid the process's number, which has stopped for it
   */
  executed(tid: number): void {
    const message = this.#port.eventMessage(tid);
    const formerTid = message > 0 ? message : tid;
    const leader = this.#tasks.get(tid);
    const executing = this.#tasks.get(formerTid) ?? leader;
    // Killed in this stop, as a thread that nobody knew yet.
    if (executing === undefined) return;
    if (executing !== leader) {
      if (leader !== undefined) this.#endByExec(leader);
      this.#tasks.rename(executing, tid);
    }
    executing.handleExec(formerTid);
  }

  /** What exec does to the other threads of a process is SIGKILL. */
  #endByExec(task: Task): void {
    this.#isExecuting = true;
    task.died(taskEnd(SIGNAL.KILL));
    this.#isExecuting = false;
  }

  /** Whether this thread traces who has a number; undefined when nobody has it. */
  #isTraced(tid: number): boolean | undefined {
    const status = this.#port.status(tid);
    return status === undefined ? undefined : status.tracerPid === this.#port.ownTid;
  }
}
