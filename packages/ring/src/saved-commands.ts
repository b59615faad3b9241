/**
 * Names of tasks that wrote events, kept because a task may be gone when its events are printed. As in the
 * kernel there are a fixed number of slots, filled in turn; who is in one stays until its turn comes again.
 */
import { assert } from '@usertrace/base';

/** How many names the kernel keeps unless `saved_cmdlines_size` says otherwise. */
const SAVED_COMMANDS_DEFAULT = 128;

const IDLE_COMM = '<idle>';
const UNKNOWN_COMM = '<...>';

interface Slot {
  readonly pid: number;
  comm: string;
}

/** The table of `saved_cmdlines`. */
export class SavedCommands {
  readonly #slots: (Slot | undefined)[];
  readonly #slotByPid = new Map<number, Slot>();
  /** The slot filled last. The kernel's first is slot 1; slot 0 gets its turn when the others are full. */
  #latest = 0;

  /** @param slotCount how many names are kept */
  constructor(slotCount: number = SAVED_COMMANDS_DEFAULT) {
    assert(slotCount > 0, 'a table has a slot');
    this.#slots = Array.from({ length: slotCount }, () => undefined);
  }

  /**
   * Whether the name of a task is known.
   *
   * @param pid the task's id
   */
  has(pid: number): boolean {
    return this.#slotByPid.has(pid);
  }

  /**
   * Notes a task's name. The idle task needs none.
   *
   * @param pid the task's id
   * @param comm its name, as in /proc/PID/comm without the line end
   */
  record(pid: number, comm: string): void {
    if (pid === 0) return;
    const known = this.#slotByPid.get(pid);
    if (known !== undefined) {
      known.comm = comm;
      return;
    }
    this.#latest = (this.#latest + 1) % this.#slots.length;
    const replaced = this.#slots[this.#latest];
    if (replaced !== undefined) this.#slotByPid.delete(replaced.pid);
    const slot = { pid, comm };
    this.#slots[this.#latest] = slot;
    this.#slotByPid.set(pid, slot);
  }

  /**
   * The name of a task: `<idle>` for 0, `<...>` when it is not known.
   *
   * @param pid the task's id
   */
  commOf(pid: number): string {
    if (pid === 0) return IDLE_COMM;
    return this.#slotByPid.get(pid)?.comm ?? UNKNOWN_COMM;
  }

  /** The text of `saved_cmdlines`. */
  text(): string {
    return this.#slots.map((slot) => (slot === undefined ? '' : `${slot.pid} ${slot.comm}\n`)).join('');
  }
}
