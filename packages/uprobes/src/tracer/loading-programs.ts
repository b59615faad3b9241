/**
 * Programs whose dynamic loader is at work: it tells of libraries when it begins and when it is done, and by then functions of theirs
 * have run that choose others (IFUNC) or prepare the library. So between the two each mmap is looked at, for which system calls stop.
 */

import { systemCallNumber } from '@usertrace/abi';
import { ErrnoError } from '@usertrace/base';
import { type Engine, Event } from '@usertrace/utrace';

/** mmap (x86-64). */
const MMAP = systemCallNumber('mmap');
/** musl's loader tells once. A program that has made so many calls is not followed any more. */
const CALLS_MAX = 2_000;
/** The loader of glibc tells before it maps the program's libraries, and when it is done. */
const TELLINGS = 2;

interface LoadingProgram {
  readonly engine: Engine;
  calls: number;
  tellings: number;
}

/** Those of now. */
export class LoadingPrograms {
  readonly #byProcess = new Map<number, LoadingProgram>();

  /** A program was executed. */
  begin(engine: Engine): void {
    const { tgid } = engine.task;
    this.end(tgid);
    this.#byProcess.set(tgid, { engine, calls: 0, tellings: 0 });
    engine.setEvents(engine.events | Event.SYSCALL_EXIT);
  }

  /**
   * A program has made a system call.
   *
   * @returns whether it has mapped something
   */
  called(tgid: number, call: number): boolean {
    const program = this.#byProcess.get(tgid);
    if (program === undefined) return false;
    program.calls += 1;
    if (program.calls >= CALLS_MAX) this.end(tgid);
    return call === MMAP;
  }

  /** A loader tells that libraries come, or have come. */
  told(tgid: number): void {
    const program = this.#byProcess.get(tgid);
    if (program === undefined) return;
    program.tellings += 1;
    if (program.tellings >= TELLINGS) this.end(tgid);
  }

  /** It has begun, or there is nothing to wait for: its calls stop no more. */
  end(tgid: number): void {
    const program = this.#byProcess.get(tgid);
    if (program === undefined) return;
    this.#byProcess.delete(tgid);
    try {
      program.engine.setEvents(program.engine.events & ~Event.SYSCALL_EXIT);
    } catch (error) {
      // It has ended.
      if (!(error instanceof ErrnoError && (error.code === 'ESRCH' || error.code === 'EALREADY')))
        throw error;
    }
  }
}
