/**
 * The stop that a task is in, or was in last: what it is for, what goes with it, and how its engines are told. One for a task,
 * written anew at each stop by StopReader; only what belongs to the event that is reported is valid.
 */
import { SIGNAL, SignalInformation, type SystemCallStop, type TaskEnd } from '@usertrace/abi';
import { Event, SignalAction, type Verdict } from './actions.ts';
import type { Birth, Engine, SignalReport } from './engine.ts';
import type { Task } from './task.ts';

/** What a task stopped for. */
export type StopKind = 'trap' | 'group' | 'signal' | 'entry' | 'exit' | 'event';

/** A stop of a task. */
export class Stop {
  kind: StopKind = 'event';
  /** Counts stops: tells whether it is still the same one. */
  number = 0;
  /** To be delivered when the task goes on. */
  pendingSignal = 0;
  isGroupStop = false;
  jobSignal = 0;
  /** Told to engines in a callback for a signal. */
  signalReport: SignalReport | undefined;
  child: Task | undefined;
  birth: Birth = { kind: 'fork', isThread: false };
  formerTid = 0;
  /** The port's own, which other tasks' stops write over, or a copy. */
  call: SystemCallStop;
  isResumedEntry = false;
  #signalInformation: SignalInformation | undefined;

  constructor(call: SystemCallStop) {
    this.call = call;
  }

  /** What came with the signal; made when the task gets its first one, which most never do. */
  get signalInformation(): SignalInformation {
    return (this.#signalInformation ??= new SignalInformation());
  }

  /**
   * Calls an engine's callback.
   *
   * @param kind the callback's event
   * @param event what is reported; another than `kind` when that is QUIESCE
   */
  tell(engine: Engine, kind: number, event: number): Verdict | Promise<Verdict> {
    const { callbacks, task } = engine;
    switch (kind) {
      case Event.SYSCALL_ENTRY:
        return callbacks.syscallEntry?.(engine, this.call, this.isResumedEntry);
      case Event.SYSCALL_EXIT:
        return callbacks.syscallExit?.(engine, this.call);
      case Event.QUIESCE:
        return callbacks.quiesce?.(engine, event);
      case Event.SIGNAL:
        return callbacks.signal?.(engine, this.signalReport as SignalReport);
      case Event.CLONE:
        return callbacks.clone?.(engine, this.child as Task, this.birth);
      case Event.EXEC:
        return callbacks.exec?.(engine, this.formerTid);
      case Event.EXIT:
        return callbacks.exit?.(engine, task.end as TaskEnd);
      case Event.JOB_CONTROL:
        return callbacks.jobControl?.(engine, this.isGroupStop, this.jobSignal);
      case Event.DEATH:
        return callbacks.death?.(engine, task.end as TaskEnd);
      default:
        return callbacks.reap?.(engine);
    }
  }

  /** What callbacks decided about the signal. */
  decideSignal(disposition: number): void {
    if (disposition === SignalAction.IGNORE) this.pendingSignal = 0;
    else if (disposition === SignalAction.KILL) this.pendingSignal = SIGNAL.KILL;
    else if (disposition === SignalAction.STOP) this.pendingSignal = SIGNAL.STOP;
    else this.pendingSignal = (this.signalReport as SignalReport).signal;
  }

  /** The port's record of a call is about to be written over. */
  keepCall(shared: SystemCallStop): void {
    if (this.call === shared) this.call = shared.clone();
  }

  /** Returns the child of a birth once. */
  takeChild(): Task | undefined {
    const { child } = this;
    this.child = undefined;
    return child;
  }
}
