/** What `--summary` counts: calls, time and errors by system call, and events by kind. */
import type { EventOutput, WatchEvent } from './watch-event.ts';

interface CallTotals {
  calls: number;
  errors: number;
  ns: number;
}

/** A row of the summary of system calls. */
export interface CallRow {
  readonly name: string;
  readonly calls: number;
  readonly errors: number;
  /** From entry to answer, waiting included. */
  readonly seconds: number;
}

/** Errors that are none to the program: the call is made again. */
const RESTART_FIRST = 512;

export class Summary implements EventOutput {
  readonly #calls = new Map<string, CallTotals>();
  readonly #events = new Map<string, number>();

  take(event: WatchEvent): void {
    switch (event.kind) {
      case 'return': {
        let totals = this.#calls.get(event.name);
        if (totals === undefined) {
          totals = { calls: 0, errors: 0, ns: 0 };
          this.#calls.set(event.name, totals);
        }
        totals.calls += 1;
        if (event.errno > 0 && event.errno < RESTART_FIRST) totals.errors += 1;
        if (event.call !== undefined) totals.ns += Number(event.timeNs - event.call.enteredNs);
        return;
      }
      case 'enter':
      case 'abandoned':
        return;
      case 'clone':
        this.#count(event.how);
        return;
      case 'job':
        this.#count(event.isStopped ? 'stop' : 'continue');
        return;
      case 'exit':
        this.#count(event.isThread ? 'thread exit' : 'exit');
        return;
      default:
        this.#count(event.kind);
    }
  }

  /** System calls, those that took longest first. */
  get calls(): CallRow[] {
    return [...this.#calls]
      .map(([name, { calls, errors, ns }]) => ({ name, calls, errors, seconds: ns / 1e9 }))
      .toSorted((a, b) => b.seconds - a.seconds || (a.name < b.name ? -1 : 1));
  }

  /** Other events by what they are. */
  get events(): Record<string, number> {
    return Object.fromEntries(this.#events);
  }

  /** Tables for people. */
  text(): string {
    const { calls } = this;
    const lines: string[] = [];
    if (calls.length > 0) {
      const total = calls.reduce(
        (sum, row) => ({
          name: 'total',
          calls: sum.calls + row.calls,
          errors: sum.errors + row.errors,
          seconds: sum.seconds + row.seconds,
        }),
        { name: 'total', calls: 0, errors: 0, seconds: 0 },
      );
      lines.push('% time      seconds   usecs/call      calls     errors  syscall');
      for (const row of [...calls, total]) lines.push(rowText(row, total.seconds));
    }
    for (const [name, count] of this.#events) lines.push(`${String(count).padStart(9)}  ${name}`);
    return lines.map((line) => `${line}\n`).join('');
  }

  #count(name: string): void {
    this.#events.set(name, (this.#events.get(name) ?? 0) + 1);
  }
}

function rowText({ name, calls, errors, seconds }: CallRow, totalSeconds: number): string {
  const share = totalSeconds === 0 ? 0 : (100 * seconds) / totalSeconds;
  return [
    share.toFixed(2).padStart(6),
    seconds.toFixed(6).padStart(12),
    Math.floor((seconds * 1e6) / calls || 0)
      .toString()
      .padStart(12),
    String(calls).padStart(10),
    (errors === 0 ? '' : String(errors)).padStart(10),
    ` ${name}`,
  ].join(' ');
}
