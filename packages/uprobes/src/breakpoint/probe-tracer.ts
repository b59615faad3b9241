/**
 * Breakpoints in processes that are traced. It has the table and a ProbedSpace for each address space; utrace has the threads. All
 * of it runs on the thread that traces.
 *
 * A hit is a SIGILL that the kernel made at a breakpoint. The probe is found through the table, its values are fetched, its consumers are
 * called, and the thread goes on in the instruction's slot: one stop for a hit.
 *
 * Memory is changed at stops where a thread can be made to call the system: it is asked for one (`QUIESCE` without an event), after
 * exec, in a new child before its first instruction, when probes change, and when mappings do: the dynamic loader tells of libraries
 * through a breakpoint of ours, other mappings are looked for from time to time.
 */

import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { SIGNAL } from '@usertrace/abi';
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
import { planReturns } from '../return/return-plan.ts';
import { JumpConsumers } from '../jump/jump-consumers.ts';
import { JumpHits } from '../jump/jump-hits.ts';
import { Placements } from '../jump/placements.ts';
import { StoppedProcess } from '../jump/stopped-process.ts';
import { slotsInUse } from '../jump/slots-in-use.ts';
import { definitionKey } from '../jump/wanted-jumps.ts';
import { SharedTableMemory } from '../table/table-memory.ts';
import { TableReader } from '../table/table-reader.ts';
import { TableWriter } from '../table/table-writer.ts';
import { AnalysedFiles } from '../target/analysed-files.ts';
import { FileNumbers } from './file-numbers.ts';
import { LoaderHooks } from './loader-hook.ts';
import { LoadingPrograms } from './loading-programs.ts';
import { type Consumer, type Hit, ProbedPlaces, type WantedPlace } from './probed-places.ts';
import {
  isWrongStop,
  type PlaceState,
  ProbedSpace,
  type SpaceParts,
  type SpaceStop,
  type WantedProbes,
} from './probed-space.ts';

/** si_code of an invalid instruction (asm-generic/siginfo.h). */
const ILL_ILLOPN = 2;
const CHANGE_DEADLINE_MS = 5_000;
const RETRY_MS = 2;
/** How long all threads of a process may take to stop for a jump. */
const STOP_DEADLINE_MS = 1_000;
/** How often threads that are where a jump is to be may go on a little. */
const JUMP_TRIES = 12;
/** Lanes are read so often; they have room for the hits of 1.6 million calls a second. */
const DRAIN_MS = 10;
/** SIGILL in a set of signals. */
const SIGNAL_BIT = 1n << BigInt(SIGNAL.ILL - 1);
/** Mappings that no loader tells of are found after so long. Reading them takes some 50 µs for a process. */
const LOOK_MS = 100;
const EVENTS = Event.QUIESCE | Event.SIGNAL | Event.CLONE | Event.EXEC | Event.DEATH;

/** What a probe has become in a process. */
export interface ProbeState extends Omit<PlaceState, 'place'> {
  readonly pid: number;
  /** The object that was given to `add`. */
  readonly definition: ProbeDefinition;
}

/** Probes in processes that are attached to and their children. */
export class ProbeTracer {
  readonly #utrace: Utrace;
  readonly #refused: (reason: unknown) => void;
  readonly #parts: SpaceParts;
  readonly #places: ProbedPlaces;
  readonly #analysed = new AnalysedFiles();
  readonly #spaces = new Map<number, ProbedSpace>();
  readonly #groups = new Set<ProcessEngine>();
  readonly #loading = new LoadingPrograms();
  readonly #look: NodeJS.Timeout;
  readonly #drain: NodeJS.Timeout;
  readonly #jumpConsumers: JumpConsumers;
  readonly #jumpHits = new JumpHits((place, hit, timeNs) => this.#jumpConsumers.tell(place, hit, timeNs));
  #isClosing = false;
  #isPassing = false;

  /**
   * @param utrace whose thread this is; stays the caller's, and open until this is closed
   * @param refused told of a probe that cannot be put into a program, and why; and of what a probe's callback throws
   */
  constructor(utrace: Utrace, refused: (reason: unknown) => void) {
    this.#utrace = utrace;
    this.#refused = refused;
    const memory = SharedTableMemory.create();
    const table = new TableWriter(memory);
    const files = new FileNumbers();
    this.#parts = {
      table,
      files,
      hooks: new LoaderHooks(),
      placements: new Placements(),
      gateOpened: (lanes, gate) => this.#jumpHits.open(lanes, gate),
    };
    this.#jumpConsumers = new JumpConsumers(refused);
    this.#drain = setInterval(() => {
      this.drain();
      void this.#passLostSlots();
    }, DRAIN_MS).unref();
    this.#places = new ProbedPlaces(files, new TableReader(memory, table.addReader()), refused);
    this.#look = setInterval(() => this.#lookForMappings(), LOOK_MS).unref();
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
   * @throws {ErrnoError} EINVAL for the return of what is not a function's beginning; ETIMEDOUT when a process does not stop in 5 s: the probe will be there when it
   *   does
   */
  async add(definition: ProbeDefinition, hit: (hit: Hit) => void): Promise<() => Promise<void>> {
    const consumer: Consumer = { definition, hit, misses: 0 };
    this.#places.add(consumer, placesOf(definition, this.#analysed));
    this.#jumpConsumers.add(consumer);
    await this.#bringStale();
    return async () => {
      if (!this.#places.remove(consumer)) return;
      if (this.#jumpConsumers.isOnly(consumer)) this.#jumpHits.shut(definitionKey(definition));
      for (const space of this.#spaces.values()) space.calls.dropCall(consumer);
      try {
        await this.#bringStale();
      } finally {
        this.drain();
        this.#jumpConsumers.remove(consumer);
      }
    };
  }

  /**
   * Takes all breakpoints away and lets go of all processes.
   *
   * @throws {ErrnoError} ETIMEDOUT when a process does not stop in 5 s
   */
  async close(): Promise<void> {
    clearInterval(this.#look);
    clearInterval(this.#drain);
    this.#places.clear();
    this.#isClosing = true;
    await this.#bringStale();
    this.drain();
    await Promise.all([...this.#groups].map((group) => this.#leave(group)));
    for (const space of new Set(this.#spaces.values())) space.close();
    this.#spaces.clear();
    this.drain();
  }

  /** What each probe has become in each process that has its file mapped; a return probe has several places. */
  places(): ProbeState[] {
    const probes = this.#places.all;
    return [...this.#spaces].flatMap(([pid, space]) =>
      space
        .states(probes)
        .flatMap(({ place, address, kind, reason }) =>
          [...place.roles.keys()].map(({ definition }) => ({ pid, definition, address, kind, reason })),
        ),
    );
  }

  /**
   * Whether somebody listens to a definition: while nobody does, its jumps record nothing and cost some nanoseconds. It is listened
   * to when it is added. Hits of breakpoints are told all the same.
   */
  setListening(definition: ProbeDefinition, isListening: boolean): void {
    this.#jumpHits.setListening(definitionKey(definition), isListening);
  }

  /** Hits of a definition that found no room in a lane. */
  misses(definition: ProbeDefinition): number {
    return Number(this.#jumpHits.misses(definitionKey(definition)));
  }

  /** Tells the hits of jumps that were recorded up to now. That is done every 10 ms without being asked for. */
  drain(): void {
    this.#jumpHits.drain();
  }

  readonly #callbacks: Callbacks = {
    signal: (engine, report) => this.#signal(engine, report),
    quiesce: (engine, event) => (event === 0 ? this.#bring(engine.task) : undefined),
    clone: (engine, child, birth) => this.#born(engine.task, child, birth),
    exec: (engine) => this.#executed(engine),
    syscallExit: ({ task }, call) => this.#called(task, call.number),
    death: ({ task }) => {
      if (task.tid === task.tgid) this.#loading.end(task.tgid);
      this.#spaces.get(task.tgid)?.calls.dropThread(task.tid);
      if (task.tid === task.tgid) this.#dropSpace(task.tgid);
    },
  };

  #space(tgid: number): ProbedSpace {
    const known = this.#spaces.get(tgid);
    if (known !== undefined) return known;
    return this.#useSpace(tgid, new ProbedSpace(this.#parts));
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

  #executed(engine: Engine): Verdict {
    this.#useSpace(engine.task.tgid, new ProbedSpace(this.#parts));
    if (this.#places.all.length > 0) this.#loading.begin(engine);
    return Action.INTERRUPT;
  }

  /** Of a program that is being loaded. */
  #called(task: Task, call: number): Verdict {
    const space = this.#space(task.tgid);
    if (!space.isStale && space.hasAll(this.#places.all)) this.#loading.end(task.tgid);
    else if (this.#loading.called(task.tgid, call) && space.hasOtherMappings(task.tgid)) space.isStale = true;
    return space.isStale ? this.#bring(task) : undefined;
  }

  /** At a stop where system calls can be made; at another it asks for one more. */
  #bring(task: Task): Verdict {
    const space = this.#space(task.tgid);
    if (!space.isStale || space.isChanging) return undefined;
    if (space.needsStillness(task.tgid, this.#wanted)) {
      void this.#bringStill(space);
      return undefined;
    }
    try {
      space.bring({ ...this.#stopOf(task), look: task.examination() }, this.#wanted);
    } catch (error) {
      if (isWrongStop(error)) return Action.INTERRUPT;
      space.isStale = false;
      this.#refused(error);
    }
    return undefined;
  }

  get #wanted(): WantedProbes {
    const { all: probes, counters, hasCalls } = this.#places;
    return { probes, counters, hasCalls, isLast: this.#isClosing };
  }

  #stopOf(task: Task): Omit<SpaceStop, 'look'> {
    const isSignalHandled = ((task.port.status(task.tid)?.handledSignals ?? 0n) & SIGNAL_BIT) !== 0n;
    return { pid: task.tgid, isSignalHandled, refused: this.#refused };
  }

  /**
   * Stops all threads that run in a memory, and changes jumps too. Called from a callback, it keeps that thread stopped from then on.
   * A child of vfork, which shares the memory, has to execute or end first: its parent cannot be stopped before that.
   */
  async #bringStill(space: ProbedSpace): Promise<void> {
    space.isChanging = true;
    const deadline = performance.now() + CHANGE_DEADLINE_MS;
    try {
      for (let tries = 1; space.isStale && space.users.size > 0; tries++) {
        const [pid = 0] = space.users;
        if (performance.now() > deadline) throw new ErrnoError('ETIMEDOUT', `Process ${pid} does not stop`);
        if (tries > 1) await delay(RETRY_MS * tries);
        if (space.users.size === 1 && (await this.#tryStill(space, pid, tries < JUMP_TRIES))) return;
      }
      space.isChanging = false;
    } catch (error) {
      const isLate = error instanceof ErrnoError && error.code === 'ETIMEDOUT';
      const [pid = 0] = space.users;
      if (isLate) space.giveUpJumps(pid, this.#wanted, 'does-not-stop');
      else {
        space.isStale = false;
        if (!(error instanceof ErrnoError && error.code === 'ESRCH')) this.#refused(error);
      }
      space.isChanging = false;
    }
  }

  /** @returns whether it was done; the following change may have begun when this returns */
  async #tryStill(space: ProbedSpace, pid: number, canRetry: boolean): Promise<boolean> {
    const stopped = await StoppedProcess.stop(this.#utrace, pid, STOP_DEADLINE_MS);
    let isDone = false;
    try {
      const { look, task } = await stopped.caller();
      const still = { tasks: stopped.tasks, tid: task.tid, canRetry };
      space.bring({ ...this.#stopOf(task), look, still }, this.#wanted);
      isDone = true;
      // Before a thread goes on: it may have to be kept for the following change at once.
      space.isChanging = false;
    } catch (error) {
      // A thread died meanwhile, or none could call the system.
      const isOver = isWrongStop(error) || (error instanceof ErrnoError && error.code === 'ESRCH');
      if (!isOver) throw error;
    } finally {
      await stopped.release();
    }
    return isDone;
  }

  /** Slots that wait for a thread which has left its trampoline, or has ended, would stop their lanes at last. */
  async #passLostSlots(): Promise<void> {
    if (this.#isPassing) return;
    this.#isPassing = true;
    try {
      for (const held of this.#jumpHits.heldUp()) held.pass(await slotsInUse(this.#utrace, held));
    } catch (error) {
      this.#refused(error);
    } finally {
      this.#isPassing = false;
    }
  }

  #signal({ task }: Engine, { signal, information, disposition }: SignalReport): Verdict {
    if (signal !== SIGNAL.ILL || information.code !== ILL_ILLOPN) return;
    const space = this.#space(task.tgid);
    const hit = this.#places.hit(task, space);
    if (hit === 'foreign') return;
    // The kernel takes the handler from a process whose thread runs into a breakpoint with SIGILL blocked.
    if (hit === 'mappings-change') this.#loading.told(task.tgid);
    if (hit === 'mappings-change' || disposition !== 'handle') space.isStale = true;
    return SignalAction.IGNORE | (space.isStale ? Action.INTERRUPT : Action.RESUME);
  }

  /** Libraries are told of by the loader; what a program maps itself is not. */
  #lookForMappings(): void {
    for (const [pid, space] of this.#spaces) {
      if (space.isStale || this.#places.all.length === 0 || !space.hasOtherMappings(pid)) continue;
      space.isStale = true;
      for (const task of this.#utrace.tasks) if (task.tgid === pid) this.#askForStop(task);
    }
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
      for (const task of stale) if (this.#spaces.get(task.tgid)?.isChanging !== true) this.#askForStop(task);
      await delay(RETRY_MS);
    }
  }

  /** A thread that ran into a breakpoint just before that was taken away has a SIGILL pending, which would kill it. */
  async #leave(group: ProcessEngine): Promise<void> {
    this.#groups.delete(group);
    const deadline = performance.now() + CHANGE_DEADLINE_MS;
    while (group.engines.size > 0 && performance.now() < deadline) {
      await group.stop();
      if (![...group.engines.keys()].some(hasPendingSignal)) break;
      group.control(Action.RESUME);
      await delay(RETRY_MS);
    }
    await group.detach();
  }
}

/** Where a definition's probe has to be. */
function placesOf(definition: ProbeDefinition, files: AnalysedFiles): WantedPlace[] {
  const offset = Number(definition.offset);
  if (definition.kind === 'entry') return [{ offset, role: { kind: 'instruction' } }];
  const plan = planReturns(definition, files);
  if (plan.kind === 'frames') return [{ offset, role: { kind: 'call' } }];
  return plan.sites.map(({ offset: site, poppedBytes }) => ({
    offset: site,
    role: { kind: 'return', poppedBytes },
  }));
}

function hasPendingSignal({ tid }: Task): boolean {
  try {
    const pending = /^SigPnd:\t([0-9a-f]+)/mu.exec(readFileSync(`/proc/${tid}/status`, 'latin1'))?.[1];
    return (BigInt(`0x${pending ?? 0}`) & SIGNAL_BIT) !== 0n;
  } catch {
    return false;
  }
}
