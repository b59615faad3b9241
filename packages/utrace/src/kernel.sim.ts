/**
 * The kernel's side of ptrace(2) as far as engines can notice: seizing, stopping, letting go on. What has happened to the threads of
 * threads.sim.ts is asked for by `wait`, in any order.
 */
import { PTRACE, SystemCallStop } from '@usertrace/abi';
import type { RemoteAnswer, TraceeStatus } from '@usertrace/linux';
import type { PtracePort } from './port.ts';
import { type SimThread, SimThreads } from './threads.sim.ts';

const ESRCH = -3;
const EPERM = -1;
const TRACER_PID = 1;

/** Threads and their tracer's requests. */
export class SimKernel extends SimThreads implements PtracePort {
  readonly systemCall: SystemCallStop = new SystemCallStop();
  readonly ownPid = TRACER_PID;
  readonly ownTid = TRACER_PID;
  /** How often a thread was made to run on in its group stop, which only PTRACE_LISTEN keeps. */
  brokenGroupStops = 0;
  /** How often a stop that `wait` had not told was ended: what it was for is lost, and it may have been another thread's. */
  untoldStopsEnded = 0;
  /** How often a thread was given a signal in a stop that was not for one: it would get it twice. */
  signalsInvented = 0;

  /** Something that happened to a tracee and was not told. */
  wait(choice: number): { tid: number; status: number } | undefined {
    const ready = [...this.threadsByTid.values()].filter(
      (thread) => thread.isTraced && this.#isTellable(thread),
    );
    if (ready.length === 0) return undefined;
    const thread = ready[choice % ready.length] as SimThread;
    const { tid } = thread;
    return { tid, status: this.#tell(thread) };
  }

  poll(tid: number): number | undefined {
    const thread = this.threadsByTid.get(tid);
    return thread?.isTraced === true && this.#isTellable(thread) ? this.#tell(thread) : undefined;
  }

  seize(tid: number, options: number): number {
    const thread = this.threadsByTid.get(tid);
    if (thread === undefined) return ESRCH;
    if (thread.state === 'zombie' || thread.isTraced) return EPERM;
    thread.isTraced = true;
    thread.options = options;
    thread.tracesCalls = false;
    if (thread.state === 'group-stopped') this.trap(thread);
    return 0;
  }

  setOptions(tid: number, options: number): number {
    const thread = this.#stopped(tid);
    if (thread === undefined) return ESRCH;
    thread.options = options;
    return 0;
  }

  interrupt(tid: number): number {
    const thread = this.threadsByTid.get(tid);
    if (thread === undefined || !thread.isTraced || thread.state === 'zombie') return ESRCH;
    thread.isTrapDue = true;
    if (thread.state === 'listening') this.trap(thread);
    return 0;
  }

  resume(tid: number, request: number, signal: number): number {
    const thread = this.#stopped(tid);
    if (thread === undefined) return ESRCH;
    thread.tracesCalls = request === PTRACE.SYSCALL;
    if (thread.isInGroupTrap && thread.process.groupStop !== 0) this.brokenGroupStops += 1;
    this.#goOn(thread, signal);
    return 0;
  }

  listen(tid: number): number {
    const thread = this.#stopped(tid);
    if (thread === undefined) return ESRCH;
    if (thread.untold !== undefined) this.untoldStopsEnded += 1;
    thread.state = 'listening';
    if (thread.isNotifyDue) this.trap(thread);
    return 0;
  }

  detach(tid: number, signal: number): number {
    const thread = this.#stopped(tid);
    if (thread === undefined) return ESRCH;
    thread.isTraced = false;
    thread.isTrapDue = false;
    thread.isNotifyDue = false;
    thread.tracesCalls = false;
    this.#goOn(thread, signal);
    if (thread.process.groupStop !== 0 && !thread.isKilled && !thread.isExiting)
      thread.state = 'group-stopped';
    return 0;
  }

  eventMessage(tid: number): number {
    return this.#stopped(tid)?.message ?? ESRCH;
  }

  readSystemCall(tid: number): number {
    const thread = this.#stopped(tid);
    if (thread === undefined) return ESRCH;
    this.systemCall.bytes.fill(0);
    this.systemCall.bytes[0] = thread.operation;
    return 0;
  }

  readSignal(tid: number): number {
    return this.#stopped(tid) === undefined ? ESRCH : 0;
  }

  readRegisters(tid: number): number {
    return this.readSignal(tid);
  }

  writeRegisters(tid: number): number {
    return this.readSignal(tid);
  }

  readMemory(): number {
    return -14;
  }

  writeMemory(): number {
    return -14;
  }

  remoteCall(): RemoteAnswer {
    return { kind: 'failed', errno: ESRCH };
  }

  status(tid: number): TraceeStatus | undefined {
    const thread = this.threadsByTid.get(tid);
    if (thread === undefined) return undefined;
    return {
      name: 'sim',
      tgid: thread.process.tgid,
      parentPid: thread.process.parentPid,
      tracerPid: thread.isTraced ? TRACER_PID : 0,
      state: thread.state === 'zombie' ? 'Z' : 'R',
      isKernelThread: false,
      pendingSignals: 0n,
      handledSignals: 0n,
      ignoredSignals: 0n,
    };
  }

  threads(pid: number): number[] {
    return [...this.threadsByTid.values()]
      .filter(({ process }) => process.tgid === pid)
      .map(({ tid }) => tid);
  }

  openProcess(pid: number): { isThere(): boolean; close(): void } {
    return { isThere: () => this.threadsByTid.has(pid), close: () => undefined };
  }

  pidOf(): number | undefined {
    return undefined;
  }

  yamaScope(): number | undefined {
    return undefined;
  }

  launch(): number {
    throw new Error('the simulation starts no programs');
  }

  isChild(): boolean {
    return false;
  }

  forgetChild(): void {}
  buryChildren(): void {}
  watch(): void {}
  bring(): void {}
  unwatch(): void {}
  linger(): void {}
  close(): void {}

  #tell(thread: SimThread): number {
    const status = thread.untold as number;
    thread.untold = undefined;
    thread.formerTid = thread.tid;
    if (thread.state === 'zombie') this.remove(thread);
    return status;
  }

  #stopped(tid: number): SimThread | undefined {
    const thread = this.threadsByTid.get(tid);
    return thread !== undefined && thread.isTraced && thread.state === 'stopped' ? thread : undefined;
  }

  /** Leaves a ptrace stop, with the signal that the tracer gives. */
  #goOn(thread: SimThread, signal: number): void {
    if (thread.untold !== undefined) this.untoldStopsEnded += 1;
    thread.isInGroupTrap = false;
    thread.state = 'running';
    thread.untold = undefined;
    const wasDelivering = thread.delivering;
    thread.delivering = 0;
    if (signal === 0) return;
    if (wasDelivering === 0) this.signalsInvented += 1;
    else this.deliver(thread, signal);
  }

  /** The leader's end is told when it is the last thread. */
  #isTellable(thread: SimThread): boolean {
    if (thread.untold === undefined) return false;
    if (thread.state !== 'zombie') return thread.state === 'stopped';
    return thread.tid !== thread.process.tgid || thread.process.threads.size === 1;
  }
}
