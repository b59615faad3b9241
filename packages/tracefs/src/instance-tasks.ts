/**
 * Names and processes of the tasks that wrote events (`saved_cmdlines`, `saved_tgids`). All instances share one
 * TaskRecorder, for their tasks are the same. A task is asked about when it writes its first event, for it may be
 * gone when that is printed, and from then on again after `FRESH_NS` when it goes on writing, for it may be called
 * something else by then or its id be another task's.
 */

import { type ErrnoName, Nanoseconds, type Tid } from '@usertrace/base';
import { SavedCommands } from '@usertrace/ring';
import type { InstancePorts } from './instance-ports.ts';

/** The largest number of names that can be asked for, and of processes that are kept (PID_MAX_DEFAULT). */
const TASKS_MAX = 32_768;
/**
 * The kernel sets aside a power of two of pages for the names, and keeps as many as fit: 20 bytes for each, behind
 * what else it has there. Found by writing sizes to the `saved_cmdlines_size` of Linux 6.18.
 */
const COMMAND_PAGES_BYTES = 262_144;
const COMMAND_BYTES = 20;
const COMMANDS_START = 131_096;
/** How long what a task was asked is taken for true. */
const FRESH_NS = Nanoseconds(100_000_000);

type TaskPorts = Pick<InstancePorts, 'commandOf' | 'deferred' | 'processOf'>;

export class TaskRecorder {
  readonly #ports: TaskPorts;
  #commandCount = commandsKeptFor(1);
  #commands = new SavedCommands(this.#commandCount);
  readonly #processByTid = new Map<number, number>();
  /** Tasks whose name, and whose process, was asked for less than `FRESH_NS` ago. */
  readonly #freshNames = new Set<Tid>();
  readonly #freshProcesses = new Set<Tid>();
  #isExpiryDue = false;

  constructor(ports: TaskPorts) {
    this.#ports = ports;
  }

  /** A task writes an event: its name is kept. Called for every event. */
  noteCommand(tid: Tid): void {
    if (this.#freshNames.has(tid)) return;
    this.#freshNames.add(tid);
    this.#expireLater();
    const command = this.#ports.commandOf(tid);
    if (command !== undefined) this.#commands.record(tid, command);
  }

  /** A task's name is told by somebody who has asked for it while the task was there. */
  keepCommand(tid: Tid, command: string): void {
    this.#commands.record(tid, command);
  }

  /** A task writes an event: its process is kept. */
  noteProcess(tid: Tid): void {
    if (this.#freshProcesses.has(tid)) return;
    this.#freshProcesses.add(tid);
    this.#expireLater();
    const process = this.#ports.processOf(tid);
    if (process === undefined) return;
    if (this.#processByTid.size >= TASKS_MAX) {
      const [oldest] = this.#processByTid.keys();
      if (oldest !== undefined) this.#processByTid.delete(oldest);
    }
    this.#processByTid.set(tid, process);
  }

  /** The name of a task, `<...>` for one that is not kept. */
  commOf(tid: number): string {
    return this.#commands.commOf(tid);
  }

  /** The process of a task, if it is kept. */
  tgidOf(tid: number): number | undefined {
    return this.#processByTid.get(tid);
  }

  /** The text of `saved_cmdlines`. */
  commandsText(): string {
    return this.#commands.text();
  }

  /** The text of `saved_tgids`. */
  processesText(): string {
    const tids = [...this.#processByTid.keys()].toSorted((a, b) => a - b);
    return tids.map((tid) => `${tid} ${this.#processByTid.get(tid)}\n`).join('');
  }

  /** How many names are kept. */
  get commandCount(): number {
    return this.#commandCount;
  }

  /**
   * Changes how many names are kept, and forgets those that are.
   *
   * @param commandCount how many at least
   */
  resize(commandCount: number): ErrnoName | undefined {
    if (commandCount < 1 || commandCount > TASKS_MAX) return 'EINVAL';
    this.#commandCount = commandsKeptFor(commandCount);
    this.#commands = new SavedCommands(this.#commandCount);
    this.#freshNames.clear();
    return undefined;
  }

  #expireLater(): void {
    if (this.#isExpiryDue) return;
    this.#isExpiryDue = true;
    this.#ports.deferred.after(FRESH_NS, () => {
      this.#isExpiryDue = false;
      this.#freshNames.clear();
      this.#freshProcesses.clear();
    });
  }
}

/** How many names the kernel keeps when it is asked for so many. */
function commandsKeptFor(commandCount: number): number {
  let bytes = COMMAND_PAGES_BYTES;
  while (bytes < COMMANDS_START + commandCount * COMMAND_BYTES) bytes *= 2;
  return Math.floor((bytes - COMMANDS_START) / COMMAND_BYTES);
}
