/** What /proc/TID/status says about a task that is traced or is to be (proc_pid_status(5)). Read anew at each call. */
import { readdirSync, readFileSync } from 'node:fs';
import { readTaskText } from '../tasks/procfs.ts';

/** Threads of one program that are looked at; Linux's own limit is threads-max, some 100,000. */
const MAX_THREADS = 131_072;

/** A task as /proc shows it. */
export interface TraceeStatus {
  readonly name: string;
  /** The process it is a thread of. */
  readonly tgid: number;
  readonly parentPid: number;
  /** The thread that traces it, or 0; a tracer outside of our pid namespace shows as 0 too. */
  readonly tracerPid: number;
  /** `R`, `S`, `D`, `T` (stopped), `t` (stopped by its tracer), `Z` (zombie), `X` and `I`. */
  readonly state: string;
  /** Whether it is a thread of the kernel itself; a zombie may look like one. */
  readonly isKernelThread: boolean;
  /** Bit N-1: whether signal N waits to be delivered to this thread. */
  readonly pendingSignals: bigint;
  /** Bit N-1 of each: whether the program handles or ignores signal N. */
  readonly handledSignals: bigint;
  readonly ignoredSignals: bigint;
}

/**
 * A task's status.
 *
 * @param tid its thread id, in our pid namespace
 * @returns undefined when there is no such task, or it may not be looked at
 */
export function traceeStatus(tid: number): TraceeStatus | undefined {
  const answer = readTaskText(`/proc/${tid}/status`);
  return typeof answer === 'string' ? undefined : new StatusText(answer.text);
}

/** The text of the file, each field read when it is asked for. */
class StatusText implements TraceeStatus {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  get name(): string {
    return this.#text.slice('Name:\t'.length, this.#text.indexOf('\n'));
  }

  get tgid(): number {
    return Number(this.#field('\nTgid:\t'));
  }

  get parentPid(): number {
    return Number(this.#field('\nPPid:\t'));
  }

  get tracerPid(): number {
    return Number(this.#field('\nTracerPid:\t'));
  }

  get state(): string {
    return this.#field('\nState:\t').charAt(0);
  }

  get isKernelThread(): boolean {
    // Linux says so itself since 6.10.
    const answer = this.#field('\nKthread:\t');
    return answer === '' ? !this.#text.includes('\nVmSize:') : answer === '1';
  }

  get pendingSignals(): bigint {
    return BigInt(`0x${this.#field('\nSigPnd:\t') || '0'}`);
  }

  get handledSignals(): bigint {
    return BigInt(`0x${this.#field('\nSigCgt:\t') || '0'}`);
  }

  get ignoredSignals(): bigint {
    return BigInt(`0x${this.#field('\nSigIgn:\t') || '0'}`);
  }

  #field(head: string): string {
    const at = this.#text.indexOf(head);
    return at < 0 ? '' : this.#text.slice(at + head.length, this.#text.indexOf('\n', at + head.length));
  }
}

/**
 * The threads of a process that exist now; others may be born while it is read.
 *
 * @param pid the process
 * @returns their thread ids; none when there is no such process
 */
export function threadsOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).slice(0, MAX_THREADS).map(Number);
  } catch {
    return [];
  }
}

/** Yama's kernel.yama.ptrace_scope, or undefined where Yama is not built in (Documentation/admin-guide/LSM/Yama.rst). */
export function yamaScope(): number | undefined {
  try {
    return Number(readFileSync('/proc/sys/kernel/yama/ptrace_scope', 'latin1'));
  } catch {
    return undefined;
  }
}
