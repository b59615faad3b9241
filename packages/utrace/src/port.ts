/**
 * What the engines need from the system: ptrace(2) and /proc, as `SystemTracer` of @usertrace/linux has them for real and
 * the simulation plays them. Requests answer 0 or the negative error number.
 */
import type { Registers, SignalInformation, SystemCallStop, TaskEnd } from '@usertrace/abi';
import type { LaunchOptions, ProcessHandle, RemoteAnswer, TraceeStatus } from '@usertrace/linux';

/** The system, seen by one tracing thread. */
export interface PtracePort {
  seize(tid: number, options: number): number;
  setOptions(tid: number, options: number): number;
  interrupt(tid: number): number;
  resume(tid: number, request: number, signal: number): number;
  listen(tid: number): number;
  detach(tid: number, signal: number): number;
  eventMessage(tid: number): number;
  /** Something that happened to a task and was not told, as waitpid(2) tells it; told by this. */
  poll(tid: number): number | undefined;
  readonly systemCall: SystemCallStop;
  readSystemCall(tid: number): number;
  readSignal(tid: number, into: SignalInformation): number;
  readRegisters(tid: number, into: Registers): number;
  writeRegisters(tid: number, from: Registers): number;
  readMemory(tid: number, address: bigint, into: Uint8Array, offset?: number, size?: number): number;
  writeMemory(tid: number, address: bigint, from: Uint8Array): number;
  remoteCall(tid: number, number: number, args: readonly bigint[]): RemoteAnswer;
  /** The process id of this tracer. */
  readonly ownPid: number;
  /** The thread id of this tracer: what /proc says of who traces. */
  readonly ownTid: number;
  openProcess(pid: number): Pick<ProcessHandle, 'isThere' | 'close'>;
  pidOf(pidfd: number): number | undefined;
  yamaScope(): number | undefined;
  status(tid: number): TraceeStatus | undefined;
  threads(pid: number): number[];
  launch(options: LaunchOptions, traceOptions: number): number;
  isChild(pid: number): boolean;
  forgetChild(pid: number, end: TaskEnd): void;
  buryChildren(isTraced: (pid: number) => boolean): void;
  /** Tasks run: their stops are to be brought. */
  watch(): void;
  /** Brings what has happened already, without waiting; nothing while that is being done. */
  bring(): void;
  /** No task is traced. */
  unwatch(): void;
  /** Only dead tasks are left: their ends are brought, but Node's loop is not kept alive for them. */
  linger(tids: () => number[]): void;
  close(): void;
}

/** Work that is to be done later. */
export interface Deferred {
  cancel(): void;
}

/** Time. */
export interface Clock {
  /** Does work after that many milliseconds. */
  after(delayMs: number, work: () => void): Deferred;
}
