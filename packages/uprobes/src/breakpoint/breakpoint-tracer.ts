/**
 * Breakpoints in processes that are traced. It has the table and a ProbedSpace for each address space; utrace has the threads. All
 * of it runs on the thread that traces.
 *
 * A hit is a SIGTRAP that the kernel made at int3. The probe is found through the table, its values are fetched, its consumers are
 * called, and the thread goes on in the instruction's slot: one stop for a hit.
 *
 * Memory is changed at stops where a thread can be made to call the system: it is asked for one (`QUIESCE` without an event), after
 * exec, in a new child before its first instruction, and when probes change; and at the exits of calls that change mappings.
 */

import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { SIGNAL, type SystemCallStop } from '@usertrace/abi';
import { ErrnoError } from '@usertrace/base';
import {
  Action,
  type Birth,
  type Callbacks,
  type Engine,
  Event,
  type ProcessEngine,
  SignalAction,
  type SignalReport,
  type Target,
  type Task,
  type Utrace,
  type Verdict,
} from '@usertrace/utrace';
import type { ProbeDefinition } from '../definition/definition.ts';
import { SharedTableMemory } from '../table/table-memory.ts';
import { TableReader } from '../table/table-reader.ts';
import { TableWriter } from '../table/table-writer.ts';
import { FileNumbers } from './file-numbers.ts';
import { type Consumer, type Hit, ProbedPlaces } from './probed-places.ts';
import { isWrongStop, ProbedSpace } from './probed-space.ts';

/** si_code of int3 (asm-generic/siginfo.h: SI_KERNEL). */
const SI_KERNEL = 0x80;
const CHANGE_DEADLINE_MS = 5_000;
const RETRY_MS = 2;
const TRAP_PENDING = 1n << BigInt(SIGNAL.TRAP - 1);
/** mmap, mprotect, munmap, mremap, shmat, shmdt, remap_file_pages, pkey_mprotect. */
const MAPPING_CALLS: ReadonlySet<number> = new Set([9, 10, 11, 25, 30, 67, 216, 329]);
const EVENTS = Event.QUIESCE | Event.SIGNAL | Event.CLONE | Event.EXEC | Event.DEATH | Event.SYSCALL_EXIT;

/** Probes by breakpoint, in processes that are attached to and their children. */
export class BreakpointTracer {
  readonly #utrace: Utrace;
  readonly #refused: (reason: unknown) => void;
  readonly #files = new FileNumbers();
  readonly #table: TableWriter;
  readonly #places: ProbedPlaces;
  readonly #spaces = new Map<number, ProbedSpace>();
  readonly #groups = new Set<ProcessEngine>();

  /**
   * @param utrace whose thread this is; stays the caller's, and open until this is closed
   * @param refused told of a probe that cannot be put into a program, and why; and of what a probe's callback throws
   */
  constructor(utrace: Utrace, refused: (reason: unknown) => void) {
    this.#utrace = utrace;
    this.#refused = refused;
    const memory = SharedTableMemory.create();
    this.#table = new TableWriter(memory);
    const reader = new TableReader(memory, this.#table.addReader());
    this.#places = new ProbedPlaces(this.#files, reader, refused);
  }

  /**
   * Attaches to a process, its children to come included, and puts all probes into it.
   *
   * @throws {ErrnoError} as Utrace.attach
   */
  async attach(target: Target): Promise<ProcessEngine> {
    const group = this.#utrace.attach(target, this.#callbacks, { events: EVENTS, follow: true });
    this.#groups.add(group);
    this.#space(group.tgid).isStale = true;
    await this.#bringAll();
    return group;
  }

  /**
   * Starts a program with all probes in it from its first instruction on.
   *
   * @throws {ErrnoError} as Utrace.spawn
   */
  spawn(launch: Parameters<Utrace['spawn']>[0]): ProcessEngine {
    const group = this.#utrace.spawn(launch, this.#callbacks, { events: EVENTS, follow: true });
    this.#groups.add(group);
    return group;
  }

  /**
   * Puts a probe into every process that maps its file. When this is done it is there.
   *
   * @param definition `fileIdentity` as fileIdentity() makes it
   * @param hit called for each hit, while the thread stands still
   * @returns takes the probe away; done when no breakpoint of it is left
   * @throws {ErrnoError} EINVAL for return probes; ETIMEDOUT when a process does not stop in 5 s: the probe will be there when it
   *   does
   */
  async add(definition: ProbeDefinition, hit: (hit: Hit) => void): Promise<() => Promise<void>> {
    if (definition.kind === 'return')
      throw new ErrnoError('EINVAL', 'Cannot probe a return by breakpoint: only entries and instructions');
    const consumer: Consumer = { definition, hit };
    this.#places.add(consumer);
    await this.#bringStale();
    return async () => {
      if (this.#places.remove(consumer)) await this.#bringStale();
    };
  }

  /**
   * Takes all breakpoints away and lets go of all processes.
   *
   * @throws {ErrnoError} ETIMEDOUT when a process does not stop in 5 s
   */
  async close(): Promise<void> {
    this.#places.clear();
    await this.#bringStale();
    await Promise.all([...this.#groups].map((group) => this.#leave(group)));
    for (const space of new Set(this.#spaces.values())) space.close();
    this.#spaces.clear();
  }

  readonly #callbacks: Callbacks = {
    signal: (engine, report) => this.#signal(engine, report),
    quiesce: (engine, event) => (event === 0 ? this.#bring(engine.task) : undefined),
    clone: (engine, child, birth) => this.#born(engine.task, child, birth),
    exec: (engine) => this.#executed(engine),
    syscallExit: (engine, call) => this.#called(engine, call),
    death: ({ task }) => {
      if (task.tid === task.tgid) this.#dropSpace(task.tgid);
    },
  };

  #space(tgid: number): ProbedSpace {
    const known = this.#spaces.get(tgid);
    if (known !== undefined) return known;
    return this.#useSpace(tgid, new ProbedSpace(this.#table, this.#files));
  }

  #useSpace(tgid: number, space: ProbedSpace): ProbedSpace {
    this.#dropSpace(tgid);
    space.users.add(tgid);
    this.#spaces.set(tgid, space);
    return space;
  }

  #dropSpace(tgid: number): void {
    const space = this.#spaces.get(tgid);
    this.#spaces.delete(tgid);
    space?.users.delete(tgid);
    if (space?.users.size === 0) space.close();
  }

  #born(parent: Task, child: Task, birth: Birth): void {
    if (birth.isThread) return;
    const space = this.#space(parent.tgid);
    if (birth.kind === 'vfork') this.#useSpace(child.tgid, space);
    else {
      this.#useSpace(child.tgid, space.fork());
      this.#askForStop(child);
    }
  }

  #executed({ task }: Engine): Verdict {
    this.#useSpace(task.tgid, new ProbedSpace(this.#table, this.#files));
    return Action.INTERRUPT;
  }

  #called({ task }: Engine, call: SystemCallStop): Verdict {
    if (!MAPPING_CALLS.has(call.number)) return undefined;
    this.#space(task.tgid).isStale = true;
    return this.#bring(task);
  }

  /** At a stop where system calls can be made; at another it asks for one more. */
  #bring(task: Task): Verdict {
    const space = this.#space(task.tgid);
    if (!space.isStale) return undefined;
    try {
      space.bring(task.examination(), task.tgid, this.#places.all, this.#refused);
    } catch (error) {
      if (isWrongStop(error)) return Action.INTERRUPT;
      space.isStale = false;
      this.#refused(error);
    }
    return undefined;
  }

  #signal({ task }: Engine, { signal, information }: SignalReport): Verdict {
    if (signal !== SIGNAL.TRAP || information.code !== SI_KERNEL) return;
    const isOurs = this.#places.hit(task, this.#space(task.tgid));
    return isOurs ? SignalAction.IGNORE | Action.RESUME : undefined;
  }

  #askForStop(task: Task): void {
    for (const engine of task.engines) {
      if (engine.callbacks.signal === undefined || engine.attachment !== 'attached') continue;
      try {
        engine.control(Action.INTERRUPT);
      } catch (error) {
        if (!(error instanceof ErrnoError) || error.code !== 'ESRCH') throw error;
      }
    }
  }

  /** Probes have changed. */
  async #bringStale(): Promise<void> {
    for (const space of this.#spaces.values()) space.isStale = true;
    await this.#bringAll();
  }

  async #bringAll(): Promise<void> {
    const isStale = (task: Task): boolean => this.#spaces.get(task.tgid)?.isStale === true;
    const deadline = performance.now() + CHANGE_DEADLINE_MS;
    for (;;) {
      const stale = [...this.#utrace.tasks].filter((task) => task.state !== 'gone' && isStale(task));
      if (stale.length === 0) return;
      if (performance.now() > deadline)
        throw new ErrnoError(
          'ETIMEDOUT',
          `Cannot change probes in processes ${[...new Set(stale.map(({ tgid }) => tgid))].join(', ')}: they do not stop`,
        );
      for (const task of stale) this.#askForStop(task);
      await delay(RETRY_MS);
    }
  }

  /** A thread that ran into a breakpoint just before that was taken away has a SIGTRAP pending, which would kill it. */
  async #leave(group: ProcessEngine): Promise<void> {
    this.#groups.delete(group);
    const deadline = performance.now() + CHANGE_DEADLINE_MS;
    while (group.engines.size > 0 && performance.now() < deadline) {
      await group.stop();
      if (![...group.engines.keys()].some(hasPendingTrap)) break;
      group.control(Action.RESUME);
      await delay(RETRY_MS);
    }
    await group.detach();
  }
}

function hasPendingTrap({ tid }: Task): boolean {
  try {
    const pending = /^SigPnd:\t([0-9a-f]+)/mu.exec(readFileSync(`/proc/${tid}/status`, 'latin1'))?.[1];
    return (BigInt(`0x${pending ?? 0}`) & TRAP_PENDING) !== 0n;
  } catch {
    return false;
  }
}
