/** What signals would do, and which SIGTRAPs are steps. */
import { defaultAction, SIGNAL, type SignalInformation, TRAP_CODE } from '@usertrace/abi';
import type { TraceeStatus } from '@usertrace/linux';
import type { Disposition } from './actions.ts';
import type { SignalReport } from './engine.ts';

/** What engines are told of a signal. What it would do is found out when somebody asks. */
export class ReportedSignal implements SignalReport {
  readonly signal: number;
  readonly information: SignalInformation;
  readonly isStep: boolean;
  readonly #status: TraceeStatus | undefined;

  /** @param status of its task when it came; undefined for that of a step */
  constructor(
    signal: number,
    information: SignalInformation,
    status: TraceeStatus | undefined,
    isStep: boolean,
  ) {
    this.signal = signal;
    this.information = information;
    this.isStep = isStep;
    this.#status = status;
  }

  get disposition(): Disposition {
    return dispositionOf(this.signal, this.#status);
  }
}

/**
 * What a signal does to a program (signal(7)).
 *
 * @param status of the program; without one it is taken to have said nothing about signals
 */
export function dispositionOf(
  signal: number,
  status: Pick<TraceeStatus, 'handledSignals' | 'ignoredSignals'> | undefined,
): Disposition {
  if (signal === SIGNAL.KILL) return 'terminate';
  if (signal === SIGNAL.STOP) return 'stop';
  const bit = 1n << BigInt(signal - 1);
  if (status !== undefined && (status.handledSignals & bit) !== 0n) return 'handle';
  if (status !== undefined && (status.ignoredSignals & bit) !== 0n) return 'ignore';
  return defaultAction(signal);
}

/**
 * Whether a step's SIGTRAP waits to be told: an interruption that comes with it is told first. Whoever lets the task go then lets it
 * be killed by that.
 *
 * @param status of a stopped task that was stepped
 */
export function isTrapPending(status: Pick<TraceeStatus, 'pendingSignals'> | undefined): boolean {
  return status !== undefined && (status.pendingSignals & (1n << BigInt(SIGNAL.TRAP - 1))) !== 0n;
}

/**
 * Whether a SIGTRAP's code is one that the kernel gives to steps: after an instruction, a branch, or a system call. A breakpoint
 * instruction has SI_KERNEL, a signal of a process 0 or less.
 */
export function isStepTrap(code: number): boolean {
  return code === TRAP_CODE.TRACE || code === TRAP_CODE.BRANCH || code === TRAP_CODE.BREAKPOINT;
}
