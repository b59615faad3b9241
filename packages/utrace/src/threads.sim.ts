/**
 * Programs in the simulated kernel: threads that run, are signalled, make others, execute and die, and stop for their tracer where
 * the kernel would. What happens when is chosen by whoever calls `step`.
 *
 * Facts: ptrace(2), and the kernel's recalc of job control for PTRACE_SEIZE (kernel/signal.c's comments).
 */
import { PTRACE_EVENT, PTRACE_OPTION, SIGNAL, stopStatus, SYSTEM_CALL_STOP } from '@usertrace/abi';

/** Signals that the simulated programs get, and handle. */
export const PROGRAM_SIGNALS = [10, 12, 15] as const;

export interface SimProcess {
  readonly tgid: number;
  readonly parentPid: number;
  readonly threads: Set<SimThread>;
  groupStop: number;
}

/** A thread. */
export interface SimThread {
  tid: number;
  /** Its number before an exec that was not told. */
  formerTid: number;
  readonly process: SimProcess;
  state: 'running' | 'stopped' | 'listening' | 'group-stopped' | 'executing' | 'zombie' | 'gone';
  isTraced: boolean;
  options: number;
  /** The status of its stop or end that wait has not told. */
  untold: number | undefined;
  message: number;
  /** A trap was asked for by PTRACE_INTERRUPT, or is the first one after birth. */
  isTrapDue: boolean;
  /** Job control changed since its last PTRACE_EVENT_STOP. */
  isNotifyDue: boolean;
  isKilled: boolean;
  /** It is on its way out, past its last stop. */
  isExiting: boolean;
  hasJoinedGroupStop: boolean;
  isInGroupTrap: boolean;
  tracesCalls: boolean;
  inCall: boolean;
  operation: number;
  /** The signal that a delivery stop is about. */
  delivering: number;
  readonly pending: number[];
  /** Sent to it, and got by its handler, in order. */
  sent: number[];
  received: number[];
}

/** All threads. */
export class SimThreads {
  readonly threadsByTid = new Map<number, SimThread>();
  /** Former numbers of traced threads that executed a program; SIGKILL may come before that is told. */
  readonly renamed = new Set<number>();
  /** Traced leaders that ended without a word, by exec in another thread. */
  readonly replaced = new Set<number>();
  #nextTid = 100;

  get threadsAlive(): SimThread[] {
    return [...this.threadsByTid.values()].filter(({ state }) => state !== 'zombie');
  }

  /** A new program. */
  makeProcess(parentPid: number = 50): SimThread {
    const tid = this.#nextTid++;
    return this.#makeThread(tid, { tgid: tid, parentPid, threads: new Set(), groupStop: 0 });
  }

  /** Whether a thread would do something if it got a CPU. */
  isRunnable({ state }: SimThread): boolean {
    return state === 'running' || state === 'executing';
  }

  /** A thread gets a CPU, and does this if nothing else is due. */
  step(
    thread: SimThread,
    wish: 'call' | 'fork' | 'thread' | 'exec' | 'exit' | 'exit-group',
    choice: number,
  ): void {
    if (!this.isRunnable(thread)) return;
    if (thread.isExiting) {
      this.#die(thread, thread.isKilled ? SIGNAL.KILL : 0);
      return;
    }
    if (thread.isKilled) {
      // A killed task may or may not stop on its way out (ptrace(2), PTRACE_O_TRACEEXIT).
      if (choice % 2 === 0) this.#exit(thread);
      else this.#die(thread, SIGNAL.KILL);
      return;
    }
    if (thread.state === 'executing') {
      this.#finishExec(thread);
      return;
    }
    if (this.#doesWhatIsDue(thread)) return;
    if (wish === 'call' || thread.inCall) this.#call(thread);
    else if (wish === 'fork' || wish === 'thread') this.#makeChild(thread, wish === 'thread');
    else if (wish === 'exec') this.#beginExec(thread);
    else if (wish === 'exit') this.#exit(thread);
    else {
      for (const other of thread.process.threads) if (other !== thread) this.#kill(other);
      this.#exit(thread);
    }
  }

  /** A signal is sent to a thread. */
  send(thread: SimThread, signal: number): void {
    if (thread.state === 'zombie' || thread.state === 'gone') return;
    const { process } = thread;
    if (signal === SIGNAL.KILL) {
      for (const other of process.threads) this.#kill(other);
    } else if (signal === SIGNAL.CONT) {
      const was = process.groupStop;
      process.groupStop = 0;
      for (const other of process.threads) {
        other.pending.splice(0, other.pending.length, ...other.pending.filter((one) => one !== SIGNAL.STOP));
        other.hasJoinedGroupStop = false;
        if (other.state === 'group-stopped') other.state = 'running';
        if (was !== 0 && other.isTraced) {
          other.isNotifyDue = true;
          if (other.state === 'listening') this.trap(other);
        }
      }
    } else {
      thread.pending.push(signal);
      if (signal !== SIGNAL.STOP) thread.sent.push(signal);
    }
  }

  #makeThread(tid: number, process: SimProcess): SimThread {
    const thread: SimThread = {
      tid,
      formerTid: tid,
      process,
      state: 'running',
      isTraced: false,
      options: 0,
      untold: undefined,
      message: 0,
      isTrapDue: false,
      isNotifyDue: false,
      isKilled: false,
      isExiting: false,
      hasJoinedGroupStop: false,
      isInGroupTrap: false,
      tracesCalls: false,
      inCall: false,
      operation: 0,
      delivering: 0,
      pending: [],
      sent: [],
      received: [],
    };
    process.threads.add(thread);
    this.threadsByTid.set(tid, thread);
    return thread;
  }

  #stop(thread: SimThread, status: number): void {
    thread.state = 'stopped';
    thread.untold = status;
    // Any stop takes a pending trap with it (kernel/signal.c, ptrace_stop).
    thread.isTrapDue = false;
  }

  /** PTRACE_EVENT_STOP, which tells whether there is a group stop. */
  protected trap(thread: SimThread): void {
    thread.isNotifyDue = false;
    const { groupStop } = thread.process;
    thread.hasJoinedGroupStop = groupStop !== 0;
    thread.isInGroupTrap = groupStop !== 0;
    this.#stop(thread, stopStatus(groupStop === 0 ? SIGNAL.TRAP : groupStop, PTRACE_EVENT.STOP));
  }

  protected deliver(thread: SimThread, signal: number): void {
    if (signal === SIGNAL.KILL) {
      for (const other of thread.process.threads) this.#kill(other);
    } else if (signal === SIGNAL.STOP) {
      thread.process.groupStop = signal;
    } else {
      thread.received.push(signal);
    }
  }

  /** Returns whether a trap, a group stop or a signal came first. */
  #doesWhatIsDue(thread: SimThread): boolean {
    const { process } = thread;
    if ((thread.isTrapDue || thread.isNotifyDue) && thread.isTraced) {
      this.trap(thread);
      return true;
    }
    if (process.groupStop !== 0 && !thread.hasJoinedGroupStop) {
      thread.hasJoinedGroupStop = true;
      if (thread.isTraced) this.trap(thread);
      else thread.state = 'group-stopped';
      return true;
    }
    if (thread.inCall) return false;
    const signal = thread.pending.shift();
    if (signal === undefined) return false;
    if (!thread.isTraced) {
      this.deliver(thread, signal);
      return true;
    }
    thread.delivering = signal;
    this.#stop(thread, stopStatus(signal));
    return true;
  }

  #call(thread: SimThread): void {
    thread.inCall = !thread.inCall;
    if (!thread.isTraced || !thread.tracesCalls) return;
    thread.operation = thread.inCall ? 1 : 2;
    this.#stop(thread, stopStatus(SYSTEM_CALL_STOP));
  }

  #makeChild(thread: SimThread, isThread: boolean): void {
    const tid = this.#nextTid++;
    const process: SimProcess = isThread
      ? thread.process
      : { tgid: tid, parentPid: thread.process.tgid, threads: new Set(), groupStop: 0 };
    const child = this.#makeThread(tid, process);
    const option = isThread ? PTRACE_OPTION.TRACECLONE : PTRACE_OPTION.TRACEFORK;
    if (!thread.isTraced || (thread.options & option) === 0) return;
    child.isTraced = true;
    child.options = thread.options;
    child.isTrapDue = true;
    thread.message = tid;
    this.#stop(thread, stopStatus(SIGNAL.TRAP, isThread ? PTRACE_EVENT.CLONE : PTRACE_EVENT.FORK));
  }

  #beginExec(thread: SimThread): void {
    for (const other of thread.process.threads) if (other !== thread) this.#kill(other);
    thread.state = 'executing';
  }

  #finishExec(thread: SimThread): void {
    const { process } = thread;
    const leader = this.threadsByTid.get(process.tgid) as SimThread;
    for (const other of process.threads) {
      const isOut = other === thread || (other === leader && other.state === 'zombie');
      if (!isOut) return;
    }
    const formerTid = thread.tid;
    if (leader !== thread) {
      process.threads.delete(leader);
      leader.state = 'gone';
      this.threadsByTid.delete(formerTid);
      thread.formerTid = formerTid;
      if (thread.isTraced) this.renamed.add(formerTid);
      if (leader.isTraced) this.replaced.add(process.tgid);
      thread.tid = process.tgid;
      this.threadsByTid.set(process.tgid, thread);
    }
    thread.state = 'running';
    if (!thread.isTraced || (thread.options & PTRACE_OPTION.TRACEEXEC) === 0) return;
    thread.message = formerTid;
    this.#stop(thread, stopStatus(SIGNAL.TRAP, PTRACE_EVENT.EXEC));
  }

  #exit(thread: SimThread): void {
    const wantsEvent = thread.isTraced && (thread.options & PTRACE_OPTION.TRACEEXIT) !== 0;
    if (!wantsEvent) {
      this.#die(thread, thread.isKilled ? SIGNAL.KILL : 0);
      return;
    }
    thread.isExiting = true;
    thread.message = thread.isKilled ? SIGNAL.KILL : 0;
    this.#stop(thread, stopStatus(SIGNAL.TRAP, PTRACE_EVENT.EXIT));
  }

  /** SIGKILL wakes from every stop. */
  #kill(thread: SimThread): void {
    if (thread.state === 'zombie' || thread.state === 'gone') return;
    thread.isKilled = true;
    thread.isInGroupTrap = false;
    thread.untold = undefined;
    thread.delivering = 0;
    if (thread.state !== 'running') thread.state = 'running';
  }

  #die(thread: SimThread, status: number): void {
    thread.state = 'zombie';
    thread.untold = status;
    if (!thread.isTraced && thread.tid !== thread.process.tgid) this.remove(thread);
    if (!thread.isTraced && thread.tid === thread.process.tgid && thread.process.threads.size === 1)
      this.remove(thread);
    const leader = this.threadsByTid.get(thread.process.tgid);
    if (leader?.state === 'zombie' && !leader.isTraced && thread.process.threads.size === 1)
      this.remove(leader);
  }

  protected remove(thread: SimThread): void {
    thread.process.threads.delete(thread);
    thread.state = 'gone';
    if (this.threadsByTid.get(thread.tid) === thread) this.threadsByTid.delete(thread.tid);
  }
}
