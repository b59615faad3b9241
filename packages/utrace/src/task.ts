/**
 * A traced task (a thread): where it is, which engines are attached, and what happens to it next. Utrace makes it and holds it by
 * its number until it died or was let go; engines hold it for as long as they live.
 *
 *     running --stop--> stopped --report--> settled: stays stopped, or resumed, listening, or let go
 *
 * Its parts, which nobody else holds: a StopReader writes each stop into a Stop; a Report tells the EngineSet; Settling decides.
 *
 * `tid` is valid while the state is not `gone`: nobody else can get the number of a traced task whose end was not waited for. A
 * request that answers ESRCH means that SIGKILL broke the stop; its end is told by the next wait, and nothing is decided before.
 */
import { isStopStatus, type TaskEnd, taskEnd } from '@usertrace/abi';
import { assert, ErrnoError } from '@usertrace/base';
import { Event, SystemCallAction } from './actions.ts';
import { controlDead, controlTask } from './control.ts';
import { type Birth, type Callbacks, Engine, type Progress } from './engine.ts';
import { EngineSet } from './engine-set.ts';
import { Examination, examineStopped } from './examination.ts';
import type { PtracePort } from './port.ts';
import { remoteCall } from './remote-call.ts';
import { Report } from './report.ts';
import { Settling } from './settling.ts';
import { Step } from './step.ts';
import { StopReader, type TaskParts } from './stop-reader.ts';
import { Stop } from './stop.ts';
import { abortCall, SystemCallProgress } from './system-call-progress.ts';
import type { TaskHost } from './task-host.ts';
import { SYSTEM_CALL_EVENTS } from './trace-options.ts';

/** Where a task is. */
export type TaskState =
  | 'running'
  /** In a ptrace stop: requests work. */
  | 'stopped'
  /** In its group stop under PTRACE_LISTEN: SIGCONT wakes it, requests do not work. */
  | 'listening'
  /** Dead, or not traced any more. */
  | 'gone';

/** A thread that is traced. */
export class Task {
  /** Its thread id, in our pid namespace. exec by a thread that is not the leader changes it. */
  tid: number;
  /** The process it is a thread of. */
  tgid: number;
  state: TaskState;
  deathStage: 'alive' | 'dying' | 'reaping' | 'reaped' = 'alive';
  /** How it ended, or will. */
  end: TaskEnd | undefined;
  /** A seccomp filter makes its system calls stop, so that they are not asked for one by one. */
  isFiltered = false;
  /** It is kept stopped until callbacks for its birth are done. */
  isHeld = false;
  readonly port: PtracePort;
  readonly #host: TaskHost;
  readonly #parts: TaskParts;
  readonly #reader: StopReader;
  readonly #settling: Settling;
  #isInterrupted = false;
  /** A stop that was told while callbacks for the one before it ran. */
  #laterStatus: number | undefined;

  /**
   * @param options PTRACE_OPTION bits that it was seized with, or UNKNOWN_OPTIONS
   */
  constructor(host: TaskHost, tid: number, tgid: number, state: TaskState, options: number) {
    this.#host = host;
    this.port = host.port;
    this.tid = tid;
    this.tgid = tgid;
    this.state = state;
    const stop = new Stop(host.port.systemCall);
    const engines = new EngineSet();
    const report = new Report(host, stop, engines, (event) => this.reported(event));
    this.#parts = { stop, engines, report, calls: new SystemCallProgress(), step: new Step() };
    this.#reader = new StopReader(this, this.#parts);
    this.#settling = new Settling(this, host, this.#parts, options);
    if (state === 'running') host.runningChanged(true);
  }

  get engines(): readonly Engine[] {
    return this.#parts.engines.list;
  }

  /** Bits of Event that some engine wants. */
  get events(): number {
    return this.#parts.engines.events;
  }

  /** Whether it would get SIGTRAP if it went on without us; see stepped-tasks.ts. */
  get hasTrapFlag(): boolean {
    return this.#parts.step.hasTrapFlag;
  }

  /** The signal that it stopped for, 0 for none: to be delivered when it goes on. */
  get pendingSignal(): number {
    return this.#parts.stop.pendingSignal;
  }

  get isStopped(): boolean {
    return this.state === 'stopped';
  }

  /** Whether callbacks run or a promise of one is waited for. */
  get isReporting(): boolean {
    return this.#parts.report.isActive;
  }

  /** Counts stops: tells whether it is still in the same one. */
  get stopNumber(): number {
    return this.#parts.stop.number;
  }

  /**
   * Attaches an engine. During an event it sees those that follow.
   *
   * @throws {ErrnoError} ESRCH when the task is gone, ENOSPC at the limit of 64 engines
   */
  attach(callbacks: Callbacks, events: number): Engine {
    if (this.state === 'gone') throw new ErrnoError('ESRCH', `Cannot attach to task ${this.tid}: it is gone`);
    const engine = new Engine(this, callbacks, events);
    this.#parts.engines.add(engine);
    this.eventsChanged();
    return engine;
  }

  /** Engines want other events: what the kernel does for them may have to change, which takes a stop. */
  eventsChanged(): void {
    const { engines } = this.#parts;
    const former = engines.events;
    engines.countEvents();
    const startsCalls =
      !this.isFiltered && (former & SYSTEM_CALL_EVENTS) === 0 && (engines.events & SYSTEM_CALL_EVENTS) !== 0;
    if ((startsCalls || this.#settling.lacksOptions) && this.state !== 'stopped') this.interrupt();
  }

  /** Answers Engine.control, which has checked the arguments. */
  control(engine: Engine, action: number): Progress {
    this.#parts.engines.hasWishes = true;
    const isDead = this.deathStage !== 'alive' || this.state === 'gone';
    return isDead
      ? controlDead(engine, action)
      : controlTask(engine, action, this.#parts.engines, this.#host);
  }

  /** Answers Engine.examine, whose engine is attached. */
  async examine<T>(engine: Engine, work: (examination: Examination) => T | Promise<T>): Promise<T> {
    return examineStopped(engine, work);
  }

  /** Its registers and memory during a callback, or while an engine keeps it stopped. */
  examination(): Examination {
    return new Examination(this);
  }

  /** Resolves when it stands still for an engine, or the engine is detached. */
  untilQuiet(engine: Engine): Promise<void> {
    return this.#settling.untilQuiet(engine);
  }

  /** Answers Examination.systemCall. */
  remoteCall(number: number, args: readonly bigint[]): bigint {
    return remoteCall(this, this.#parts, number, args);
  }

  /**
   * It stopped or died. Only Utrace calls this and the three that follow.
   *
   * @param status as of waitpid(2)
   */
  handle(status: number): void {
    if (!isStopStatus(status)) {
      this.died(taskEnd(status));
      return;
    }
    this.#enterStop();
    // SIGKILL broke the stop that is being reported, and this is the one on its way out.
    if (this.isReporting) this.#laterStatus = status;
    else this.#reader.read(status);
  }

  /**
   * It made a child.
   *
   * @param child stopped, or about to
   */
  handleBirth(child: Task, birth: Birth): void {
    this.#enterStop();
    this.#reader.birth(child, birth);
  }

  /** It executed a program, and goes by the process's number now. */
  handleExec(formerTid: number): void {
    this.#enterStop();
    this.#reader.exec(formerTid);
  }

  /** It is dead and was waited for: somebody else may get its number now. */
  died(end: TaskEnd): void {
    if (this.state === 'gone') return;
    if (this.state === 'running') this.#host.runningChanged(false);
    this.state = 'gone';
    this.end = end;
    this.#host.gone(this, end);
    // The callbacks of a task come one after the other: those for its death wait for the one that runs.
    if (!this.isReporting) this.#reportDeath();
  }

  /** Decides what a stopped task does next, unless callbacks run. */
  settle(): void {
    this.#settling.settle();
  }

  /**
   * Whether it is in the stop that was told last. SIGKILL, and exec by another thread, break a stop; then something else
   * happened to its number, which belongs to the executing thread by now. That is told before anything is asked of it.
   */
  isStillInStop(): boolean {
    if (this.state !== 'stopped') return false;
    if (this.#host.isHandling(this)) return true;
    const status = this.port.poll(this.tid);
    if (status === undefined) return true;
    this.#host.handle(this.tid, status);
    return false;
  }

  /** Makes it stop soon, if it runs. */
  interrupt(): void {
    if (this.state === 'stopped' || this.state === 'gone') return;
    // It may be that it does not stop because it is not there any more.
    if (this.#isInterrupted) this.#host.vanished(this);
    else if (this.port.interrupt(this.tid) === 0) this.#isInterrupted = true;
    else this.#host.vanished(this);
  }

  /** Makes it stop again as soon as it goes on, before its next instruction. */
  interruptAtOnce(): void {
    if (this.port.interrupt(this.tid) === 0) this.#isInterrupted = true;
  }

  /** SIGKILL broke the stop; what is told of it next is its end. Only its parts call this and the three that follow. */
  vanished(): void {
    this.wentOn('running');
    this.#host.vanished(this);
  }

  /** It was let go on. */
  wentOn(state: 'running' | 'listening'): void {
    this.state = state;
    if (state === 'running') this.#host.runningChanged(true);
  }

  /** It was let go of. */
  left(): void {
    this.state = 'gone';
    this.deathStage = 'reaped';
    this.#host.gone(this, undefined);
  }

  /** The engines were told of an event, or none wanted that: does what they decided. */
  reported(event: number): void {
    const { report, stop, step } = this.#parts;
    if (event === Event.DEATH || event === Event.REAP) {
      this.#reportDeath();
      return;
    }
    this.dropDetached();
    if (event === Event.CLONE) stop.takeChild()?.release();
    if (this.state === 'gone') {
      this.#reportDeath();
      return;
    }
    const later = this.#laterStatus;
    if (later !== undefined) {
      this.#laterStatus = undefined;
      this.handle(later);
      return;
    }
    const { disposition } = report;
    if (event === Event.SIGNAL && disposition !== 0) stop.decideSignal(disposition);
    else if (event === Event.SYSCALL_ENTRY && disposition === SystemCallAction.ABORT) abortCall(this);
    else if (event === Event.SYSCALL_EXIT && step.isOverCall) {
      this.#reader.steppedOverCall();
      return;
    }
    this.settle();
  }

  /**
   * An event happened that concerns nobody but engines. Tells them, and does what they decided: mostly there is one, which wants
   * nothing, and the task goes on.
   */
  report(event: number): void {
    const { engines, report } = this.#parts;
    const { only } = engines;
    const isWanted = (engines.events & (event | Event.QUIESCE)) !== 0;
    if (only === undefined || (only.events & Event.QUIESCE) !== 0) {
      if (isWanted) report.start(event);
      else this.#unreported(event);
      return;
    }
    if (isWanted && !report.tell(only, event)) return;
    const mayGoOn =
      !engines.hasWishes &&
      !engines.owesReport &&
      !this.isHeld &&
      this.state === 'stopped' &&
      this.#laterStatus === undefined;
    if (mayGoOn && this.#settling.goOn()) return;
    if (isWanted) this.reported(event);
    else this.#unreported(event);
  }

  /** It is the child of a task that stopped for that just now: the kernel has the same options for both. */
  inherit(parent: Task): void {
    this.#settling.inherit(parent.#settling);
  }

  /** The callbacks for its birth are done. */
  release(): void {
    this.isHeld = false;
    this.settle();
  }

  /** Engines were detached, and no callbacks run. */
  dropDetached(): void {
    assert(!this.isReporting, 'engines leave between reports');
    const dropped = this.#parts.engines.dropDetached();
    if (dropped.length === 0) return;
    for (const engine of dropped) this.#host.dropped(engine);
    this.eventsChanged();
    this.#settling.wakeQuiet();
  }

  /** Nobody wanted to be told. */
  #unreported(event: number): void {
    if (event === Event.SYSCALL_EXIT && this.#parts.step.isOverCall) this.#reader.steppedOverCall();
    else this.settle();
  }

  #enterStop(): void {
    if (this.state === 'running') this.#host.runningChanged(false);
    this.state = 'stopped';
    const { stop } = this.#parts;
    stop.number += 1;
    // SIGKILL may have broken the stop for a signal.
    stop.pendingSignal = 0;
    // Any stop takes a pending interruption with it.
    this.#isInterrupted = false;
  }

  /** Reports death, then that the number is free, and lets the engines go. */
  #reportDeath(): void {
    const { report, engines } = this.#parts;
    if (this.deathStage === 'alive') {
      this.deathStage = 'dying';
      if (!report.run(Event.DEATH)) return;
    }
    if (this.deathStage === 'dying') {
      this.deathStage = 'reaping';
      if (!report.run(Event.REAP)) return;
    }
    if (this.deathStage === 'reaped') return;
    this.deathStage = 'reaped';
    engines.reap();
    this.#settling.wakeQuiet();
  }
}
