/** The names of tasks for the trace's TASK column, kept for a moment: a writer of many events is looked up once. */
import { Nanoseconds, type Tid } from '@usertrace/base';
import type { TaskPort } from './port.ts';

/** Names kept at once; the kernel keeps 128 (saved_cmdlines_size) unless told otherwise. */
export const MAX_COMMANDS = 8192;
/** A task may change its name; where nobody tells us we look again after this. */
const FRESH_NS = 100_000_000;

interface SavedCommand {
  readonly command: string;
  readonly savedAt: Nanoseconds;
}

/** The names. One for a tracker. */
export class CommandCache {
  readonly #port: TaskPort;
  readonly #saved = new Map<Tid, SavedCommand>();

  constructor(port: TaskPort) {
    this.#port = port;
  }

  /**
   * The name of a task.
   *
   * @returns the last one known if it is gone; undefined when none was ever seen
   */
  commandOf(tid: Tid): string | undefined {
    const now = this.#port.now();
    const saved = this.#saved.get(tid);
    if (saved !== undefined && now - saved.savedAt < FRESH_NS) return saved.command;
    const command = this.#port.commandOf(tid) ?? saved?.command;
    if (command !== undefined) this.#save(tid, command, now);
    return command;
  }

  /** Says that a task has this name now. Kept only if somebody asked for it before. */
  rename(tid: Tid, command: string): void {
    if (this.#saved.has(tid)) this.#save(tid, command, this.#port.now());
  }

  /** Says that a task's name is to be looked up again. */
  expire(tid: Tid): void {
    const saved = this.#saved.get(tid);
    if (saved !== undefined)
      this.#saved.set(tid, { command: saved.command, savedAt: Nanoseconds(-Infinity) });
  }

  #save(tid: Tid, command: string, savedAt: Nanoseconds): void {
    // The oldest entry is the first of the map.
    this.#saved.delete(tid);
    this.#saved.set(tid, { command, savedAt });
    if (this.#saved.size <= MAX_COMMANDS) return;
    for (const oldest of this.#saved.keys()) {
      this.#saved.delete(oldest);
      break;
    }
  }
}
