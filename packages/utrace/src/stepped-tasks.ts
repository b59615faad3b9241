/**
 * Tasks that are being stepped when this process ends without `close`. The kernel lets every task of a tracer that ends go on, but
 * leaves the processor's trap flag of a stepped one set: its next instruction would send it SIGTRAP, which ends it. Only
 * PTRACE_DETACH takes the flag away, and that needs a stop.
 */
import {
  isStopStatus,
  PTRACE,
  SIGNAL,
  SignalInformation,
  stopEvent,
  stopSignal,
  SYSTEM_CALL_STOP,
} from '@usertrace/abi';
import type { PtracePort } from './port.ts';
import { isStepTrap, isTrapPending } from './signals.ts';
import type { Task } from './task.ts';

/** So long all of them together are waited for: Node's loop runs no more. */
const DEADLINE_MS = 500;
const PAUSE_MS = 1;

/**
 * Detaches from tasks that are stepped, those that run once they have stopped. Signals of theirs reach them.
 *
 * @param tasks all that are traced
 */
export function letGoOfStepped(port: PtracePort, tasks: Iterable<Task>): void {
  const deadlineMs = performance.now() + DEADLINE_MS;
  for (const task of tasks) {
    if (!task.hasTrapFlag) continue;
    if (!task.isStopped && port.interrupt(task.tid) < 0) continue;
    if (task.isStopped && !resumeToTrap(port, task.tid)) port.detach(task.tid, task.pendingSignal);
    else detachAtStop(port, task.tid, deadlineMs);
  }
}

/** Lets a task go on as far as the trap of its step, if that waits to be told. Returns whether it does. */
function resumeToTrap(port: PtracePort, tid: number): boolean {
  return isTrapPending(port.status(tid)) && port.resume(tid, PTRACE.CONT, 0) === 0;
}

function detachAtStop(port: PtracePort, tid: number, deadlineMs: number): void {
  const nobodyWakes = new Int32Array(new SharedArrayBuffer(4));
  do {
    const status = port.poll(tid);
    if (status !== undefined) {
      if (!isStopStatus(status)) return;
      if (stopEvent(status) === 0 || !resumeToTrap(port, tid)) {
        port.detach(tid, signalToDeliver(port, tid, status));
        return;
      }
    }
    Atomics.wait(nobodyWakes, 0, 0, PAUSE_MS);
  } while (performance.now() < deadlineMs);
}

/** The signal that a task stopped for, if that is the program's. */
function signalToDeliver(port: PtracePort, tid: number, status: number): number {
  const signal = stopSignal(status);
  if (stopEvent(status) !== 0 || signal === SYSTEM_CALL_STOP) return 0;
  const information = new SignalInformation();
  const isStep =
    signal === SIGNAL.TRAP && port.readSignal(tid, information) >= 0 && isStepTrap(information.code);
  return isStep ? 0 : signal;
}
