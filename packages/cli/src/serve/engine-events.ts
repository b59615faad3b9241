/**
 * Forks, execs and ends of the programs that have registered events, learned of by tracing them: what the process connector tells,
 * for a server that is not told it.
 *
 * Each event is taken note of while its task is stopped, and the server is told of it before the task goes on: a child is known
 * before its first instruction. A program is traced from its first registration to its next exec, and its children with it, as
 * they have what it had. Nobody else can trace it meanwhile.
 *
 * The server holds this as its source of events; who started the server closes it, afterwards.
 */
import { Pid, Tid } from '@usertrace/base';
import type { ConnectorBatch, EventSource, ProcessEvent } from '@usertrace/linux';
import {
  Action,
  type Callbacks,
  type Engine,
  Event,
  openUtrace,
  type Task,
  type Utrace,
} from '@usertrace/utrace';
import { errorCode } from '../failure.ts';

const SIGKILL = 9;
/** Processes that cannot be traced; of more it is not said which. */
const MAX_UNTRACED = 4_096;

/** Events of engines. */
export class EngineEvents implements EventSource {
  readonly #arrived: () => void;
  readonly #warn: (text: string) => void;
  readonly #utrace: Utrace;
  readonly #callbacks: Callbacks;
  #events: ProcessEvent[] = [];
  /** Processes of which no event is told: for them /proc is searched, as when events were lost. */
  readonly #untraced = new Set<Pid>();
  #isIncomplete = false;
  #isServerBusy = false;

  /**
   * @param arrived called when an event was noted, with its task still stopped; it may drain
   * @param warn is given a sentence for the user
   */
  constructor(arrived: () => void, warn: (text: string) => void) {
    this.#arrived = arrived;
    this.#warn = warn;
    // The thread serves requests; while it slept for a stop, a program would wait for it.
    this.#utrace = openUtrace({ mayBlock: false, failed: (_, reason) => warn(String(reason)) });
    this.#callbacks = {
      clone: ({ task }, child) => this.#note(forkOf(task, child)),
      exec: (engine) => this.#executed(engine),
      death: ({ task }, { signal }) => {
        // Killed in the middle of a fork, of which nothing will be told: the child is looked for.
        if (signal === SIGKILL) this.#isIncomplete = true;
        return this.#note({ kind: 'exit', tid: Tid(task.tid), pid: Pid(task.tgid) });
      },
    };
  }

  drain(): ConnectorBatch {
    this.#whileServerIsBusy(() => this.#utrace.bring());
    this.#forgetDead();
    const events = this.#events;
    const overflowed = this.#isIncomplete || this.#untraced.size > 0;
    this.#events = [];
    this.#isIncomplete = false;
    return { events, overflowed };
  }

  follow(pid: Pid): void {
    if (this.#isFollowed(pid) || this.#untraced.has(pid)) return;
    const events = Event.CLONE | Event.EXEC | Event.DEATH;
    try {
      // What is found out about other tasks on the way is noted.
      this.#whileServerIsBusy(() => this.#utrace.attach(pid, this.#callbacks, { events, follow: true }));
    } catch (error) {
      // It ended just now, and no engine tells of that.
      if (errorCode(error) === 'ESRCH') this.#isIncomplete = true;
      else this.#doWithout(pid, error);
    }
  }

  /** Lets all programs go. */
  async close(): Promise<void> {
    await this.#utrace.close();
  }

  /** The server asked for this and is in the middle of something: it is told of nothing meanwhile, and drains later. */
  #whileServerIsBusy(work: () => void): void {
    this.#isServerBusy = true;
    try {
      work();
    } finally {
      this.#isServerBusy = false;
    }
  }

  /** Its engines go at an exec, and those of a thread at its end. */
  #isFollowed(pid: Pid): boolean {
    for (const task of this.#utrace.tasks)
      if (task.tgid === pid && task.engines.some(({ attachment }) => attachment === 'attached')) return true;
    return false;
  }

  #doWithout(pid: Pid, error: unknown): void {
    if (this.#untraced.size >= MAX_UNTRACED) this.#untraced.clear();
    this.#untraced.add(pid);
    const reason = error instanceof Error ? error.message : String(error);
    this.#warn(
      `process ${pid} is followed by searching /proc, which is slower and may miss what is short: ${reason}`,
    );
  }

  #forgetDead(): void {
    for (const pid of this.#untraced) {
      try {
        process.kill(pid, 0);
      } catch (error) {
        if (errorCode(error) !== 'ESRCH') continue;
        this.#untraced.delete(pid);
        this.#isIncomplete = true;
      }
    }
  }

  /** What it registered is gone: it need not be traced until it registers again. */
  async #executed({ task }: Engine): Promise<number> {
    await this.#note({ kind: 'exec', tid: Tid(task.tid), pid: Pid(task.tgid) });
    return Action.DETACH;
  }

  /** Its task goes on when the server has been told: at once, or when what it is busy with is over. */
  #note(event: ProcessEvent): Promise<void> | undefined {
    this.#events.push(event);
    if (this.#isServerBusy) return Promise.resolve();
    this.#arrived();
    return undefined;
  }
}

function forkOf(task: Task, child: Task): ProcessEvent {
  return {
    kind: 'fork',
    parentTid: Tid(task.tid),
    parentPid: Pid(task.tgid),
    childTid: Tid(child.tid),
    childPid: Pid(child.tgid),
  };
}
