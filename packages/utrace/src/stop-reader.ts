/**
 * Reads what is told of a task: each stop becomes an entry in its Stop, and a report if an engine wants one; otherwise the task
 * is settled at once.
 */
import { PTRACE_EVENT, SIGNAL, stopEvent, stopSignal, SYSTEM_CALL_STOP, taskEnd } from '@usertrace/abi';
import { Event } from './actions.ts';
import type { Birth } from './engine.ts';
import type { EngineSet } from './engine-set.ts';
import type { Report } from './report.ts';
import { isStepTrap, ReportedSignal } from './signals.ts';
import type { Step } from './step.ts';
import type { Stop } from './stop.ts';
import type { SystemCallProgress } from './system-call-progress.ts';
import type { Task } from './task.ts';

/** The parts of a task that its stops concern. */
export interface TaskParts {
  readonly stop: Stop;
  readonly engines: EngineSet;
  readonly report: Report;
  readonly calls: SystemCallProgress;
  readonly step: Step;
}

/** Reads the stops of one task. */
export class StopReader {
  readonly #task: Task;
  readonly #stop: Stop;
  readonly #engines: EngineSet;
  readonly #report: Report;
  readonly #calls: SystemCallProgress;
  readonly #step: Step;

  constructor(task: Task, { stop, engines, report, calls, step }: TaskParts) {
    this.#task = task;
    this.#stop = stop;
    this.#engines = engines;
    this.#report = report;
    this.#calls = calls;
    this.#step = step;
  }

  /** @param status of a stop, as of waitpid(2); not that of a birth or an exec */
  read(status: number): void {
    const signal = stopSignal(status);
    const event = stopEvent(status);
    if (signal === SYSTEM_CALL_STOP || event === PTRACE_EVENT.SECCOMP) this.#stoppedForCall();
    else if (event === PTRACE_EVENT.STOP) this.#trapped(signal);
    else if (event === 0) this.#stoppedForSignal(signal);
    else if (event === PTRACE_EVENT.EXIT) this.#exits();
    else {
      this.#stop.kind = 'event';
      this.#task.settle();
    }
  }

  /** It made a child. */
  birth(child: Task, birth: Birth): void {
    this.#stop.kind = 'event';
    this.#stop.child = child;
    this.#stop.birth = birth;
    child.isHeld = true;
    if (this.#isWanted(Event.CLONE)) this.#report.start(Event.CLONE);
    else this.#task.reported(Event.CLONE);
  }

  /** It executed a program. */
  exec(formerTid: number): void {
    this.#stop.kind = 'event';
    this.#stop.formerTid = formerTid;
    this.#task.report(Event.EXEC);
  }

  /** A step ended with the exit of a system call. */
  steppedOverCall(): void {
    this.#step.end();
    this.#reportSignal(SIGNAL.TRAP, true);
  }

  #stoppedForCall(): void {
    const call = this.#task.port.systemCall;
    if (this.#task.port.readSystemCall(this.#task.tid) < 0) {
      this.#task.vanished();
      return;
    }
    this.#stop.call = call;
    this.#stop.kind = this.#calls.advance(this.#task, call);
    this.#stop.isResumedEntry = false;
    this.#task.report(this.#stop.kind === 'entry' ? Event.SYSCALL_ENTRY : Event.SYSCALL_EXIT);
  }

  /** PTRACE_EVENT_STOP: asked for, a new child's first, a group stop, or the end of one. */
  #trapped(signal: number): void {
    const isGroupStop = signal !== SIGNAL.TRAP;
    const hasChanged = isGroupStop !== this.#stop.isGroupStop;
    this.#stop.kind = isGroupStop ? 'group' : 'trap';
    this.#stop.isGroupStop = isGroupStop;
    this.#stop.jobSignal = isGroupStop ? signal : SIGNAL.CONT;
    if (hasChanged && this.#isWanted(Event.JOB_CONTROL)) {
      this.#engines.owesReport = false;
      this.#report.start(Event.JOB_CONTROL);
    } else if (this.#engines.owesReport && !this.#task.isHeld) {
      this.#engines.owesReport = false;
      this.#report.start(0);
    } else {
      this.#task.settle();
    }
  }

  #stoppedForSignal(signal: number): void {
    this.#stop.kind = 'signal';
    const isStep = this.#step.isActive && signal === SIGNAL.TRAP && this.#isTrapOfStep();
    this.#step.end();
    this.#stop.pendingSignal = isStep ? 0 : signal;
    this.#reportSignal(signal, isStep);
  }

  #reportSignal(signal: number, isStep: boolean): void {
    const { port, tid } = this.#task;
    if (!this.#isWanted(Event.SIGNAL)) {
      this.#task.settle();
      return;
    }
    const information = this.#stop.signalInformation;
    if (!isStep && port.readSignal(tid, information) < 0) {
      this.#task.vanished();
      return;
    }
    const status = isStep ? undefined : port.status(tid);
    this.#stop.signalReport = new ReportedSignal(signal, information, status, isStep);
    this.#task.report(Event.SIGNAL);
  }

  #isTrapOfStep(): boolean {
    const information = this.#stop.signalInformation;
    return this.#task.port.readSignal(this.#task.tid, information) >= 0 && isStepTrap(information.code);
  }

  #exits(): void {
    this.#stop.kind = 'event';
    const message = this.#task.port.eventMessage(this.#task.tid);
    if (message < 0) {
      this.#task.vanished();
      return;
    }
    this.#task.end = taskEnd(message);
    this.#task.report(Event.EXIT);
  }

  #isWanted(event: number): boolean {
    return (this.#engines.events & (event | Event.QUIESCE)) !== 0;
  }
}
