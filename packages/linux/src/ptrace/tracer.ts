/**
 * All of ptrace(2) that a thread needs to trace: requests, remote calls, starting programs, and the waiter that brings
 * stops. The listener, who holds this, decides what to do with them. One for a thread, as the kernel knows a tracer by its
 * thread.
 */
import { SIGNAL, type TaskEnd, WAIT_OPTION } from '@usertrace/abi';
import { ErrnoError } from '@usertrace/base';
import { libc, SYSTEM_CALL } from '../bindings.ts';
import { type LaunchOptions, Launcher } from './launch.ts';
import { pidOfHandle, ProcessHandle } from './process-handle.ts';
import { type RemoteAnswer, RemoteCaller } from './remote-call.ts';
import { startedProgram } from './started-program.ts';
import { type StopListener, StopWaiter } from './stop-waiter.ts';
import { SystemPtrace } from './system-ptrace.ts';
import { threadsOf, type TraceeStatus, traceeStatus, yamaScope } from './tracee-status.ts';

/** How often children that nobody traces any more are looked for. */
const BURIAL_MS = 100;

/** Whether this thread has a tracer: two would take each other's stops from wait(2). */
let isTracing = false;

/** This thread as a tracer. Its owner closes it after the last task was detached. */
export class SystemTracer extends SystemPtrace {
  readonly ownPid: number = process.pid;
  readonly ownTid: number = libc().syscall(SYSTEM_CALL.gettid, 0, 0, 0, 0, 0, 0);
  readonly #listener: StopListener;
  readonly #waiter: StopWaiter;
  readonly #caller: RemoteCaller;
  readonly #launcher: Launcher;
  /** Programs that were started here and whose end was not seen. */
  readonly #children = new Set<number>();
  #burials: NodeJS.Timeout | undefined;
  #isCurrent = false;

  /**
   * @param listener who is told of stops and deaths
   * @throws {ErrnoError} EBUSY while this thread has another tracer that was not closed
   */
  constructor(listener: StopListener) {
    super();
    if (isTracing)
      throw new ErrnoError(
        'EBUSY',
        'Cannot make this thread a tracer: it is one; close that first, or share it: it attaches any number of engines',
      );
    this.#listener = listener;
    this.#waiter = new StopWaiter(listener);
    this.#caller = new RemoteCaller(this, this.#waiter);
    this.#launcher = new Launcher(this, this.#waiter, this.#caller);
    isTracing = true;
    this.#isCurrent = true;
  }

  /** See ProcessHandle. */
  openProcess(pid: number): ProcessHandle {
    return new ProcessHandle(pid);
  }

  /** See pidOfHandle. */
  pidOf(pidfd: number): number | undefined {
    return pidOfHandle(pidfd);
  }

  yamaScope(): number | undefined {
    return yamaScope();
  }

  status(tid: number): TraceeStatus | undefined {
    return traceeStatus(tid);
  }

  threads(pid: number): number[] {
    return threadsOf(pid);
  }

  /** Stops are brought from now on; also says that tasks run again. */
  watch(): void {
    this.#endBurials();
    this.#waiter.start();
  }

  /** Brings what has happened already. */
  bring(): void {
    this.#waiter.bring();
  }

  /** Nothing is traced: Node's loop may end. */
  unwatch(): void {
    this.#waiter.stop();
    this.#buryLater();
  }

  /**
   * Only dead tasks are left: their ends are brought, but Node's loop may end.
   *
   * @param tids which
   */
  linger(tids: () => number[]): void {
    this.#resign();
    this.#waiter.linger(() => {
      for (const tid of tids()) {
        // Another tracer of this thread may have waited for it.
        const status = this.poll(tid) ?? (this.status(tid) === undefined ? SIGNAL.KILL : undefined);
        if (status !== undefined) this.#listener.handle(tid, status);
      }
    });
  }

  /** See RemoteCaller; the stop after it is brought like any other. */
  remoteCall(tid: number, number: number, args: readonly bigint[]): RemoteAnswer {
    return this.#caller.call(tid, number, args);
  }

  /** See Launcher. */
  launch(options: LaunchOptions, traceOptions: number): number {
    const pid = this.#launcher.launch(options, traceOptions);
    if (options.standIn === undefined) this.#children.add(pid);
    return pid;
  }

  /** Whether a process is a child that libuv does not wait for: started by `launch`, or a StartedProgram. */
  isChild(pid: number): boolean {
    return this.#children.has(pid) || startedProgram(pid) !== undefined;
  }

  /** The end of a child was seen: nobody has to wait for it. */
  forgetChild(pid: number, end: TaskEnd): void {
    this.#children.delete(pid);
    startedProgram(pid)?.tell(end);
  }

  /** Waits for children that ended after they were detached, so that they leave no zombie. */
  buryChildren(isTraced: (pid: number) => boolean): void {
    for (const pid of this.#children) {
      if (!isTraced(pid) && libc().waitpid(pid, null, WAIT_OPTION.NOHANG) !== 0) this.#children.delete(pid);
    }
  }

  close(): void {
    this.#resign();
    this.#waiter.close();
    this.#buryLater();
  }

  /** Children that run on untraced leave no zombies while this process lives; that keeps Node's loop not alive. */
  #buryLater(): void {
    if (this.#children.size === 0 || this.#burials !== undefined) return;
    this.#burials = setInterval(() => {
      this.buryChildren(() => false);
      if (this.#children.size === 0) this.#endBurials();
    }, BURIAL_MS).unref();
  }

  #endBurials(): void {
    clearInterval(this.#burials);
    this.#burials = undefined;
  }

  /** Another one may trace for this thread. */
  #resign(): void {
    if (this.#isCurrent) isTracing = false;
    this.#isCurrent = false;
  }
}
