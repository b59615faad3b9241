/** What `usertrace watch` has seen, as its outputs get it, a moment later. Events and what they refer to stay as they are. */
import type { TaskEnd } from '@usertrace/abi';
import type { Birth, Disposition } from '@usertrace/utrace';

/** A thread that is watched, from its first event or its last exec on. */
export interface WatchedTask {
  readonly tid: number;
  readonly pid: number;
  /** As in /proc/TID/comm at that time. */
  readonly comm: string;
}

/** A system call that was entered. */
export interface EnteredCall {
  readonly task: WatchedTask;
  /** CLOCK_MONOTONIC, nanoseconds. */
  readonly enteredNs: bigint;
  readonly number: number;
  readonly name: string;
  /** Its arguments as text; empty when no output wants them. */
  readonly args: readonly string[];
  /** Whether it never answers: exit(2) and exit_group(2). */
  readonly isFinal: boolean;
}

interface Common {
  readonly task: WatchedTask;
  /** CLOCK_MONOTONIC, nanoseconds: when it was told. */
  readonly timeNs: bigint;
}

/** A child was made. */
export interface CloneEvent extends Common {
  readonly kind: 'clone';
  readonly how: Birth['kind'] | 'thread';
  readonly child: number;
}

/** Another program was executed. */
export interface ExecEvent extends Common {
  readonly kind: 'exec';
  readonly file: string;
  readonly args: readonly string[];
  /** The thread that did it, which has the leader's number now. */
  readonly formerTid: number;
}

/** A task has ended. */
export interface ExitEvent extends Common {
  readonly kind: 'exit';
  readonly end: TaskEnd;
  readonly isThread: boolean;
}

/** A signal is about to be delivered. */
export interface SignalEvent extends Common {
  readonly kind: 'signal';
  readonly signal: number;
  readonly code: number;
  /** Who sent it, when a process did. */
  readonly sender: { readonly pid: number; readonly uid: number } | undefined;
  /** The address that faulted, when that is what it tells. */
  readonly address: bigint | undefined;
  readonly disposition: Disposition;
}

/** Job control stopped it, or let it go on. */
export interface JobEvent extends Common {
  readonly kind: 'job';
  readonly isStopped: boolean;
  readonly signal: number;
}

/** A system call is about to be made. */
export interface EnterEvent extends Common {
  readonly kind: 'enter';
  readonly call: EnteredCall;
}

/** A system call has answered. */
export interface ReturnEvent extends Common {
  readonly kind: 'return';
  /** Its entry; undefined when the call was entered before it was watched. */
  readonly call: EnteredCall | undefined;
  readonly number: number;
  readonly name: string;
  readonly result: bigint;
  /** 0, or the error; 512 to 516 when the call is to be restarted. */
  readonly errno: number;
}

/** A task ended in the middle of a system call. */
export interface AbandonedEvent extends Common {
  readonly kind: 'abandoned';
  readonly call: EnteredCall;
}

export type WatchEvent =
  | CloneEvent
  | ExecEvent
  | ExitEvent
  | SignalEvent
  | JobEvent
  | EnterEvent
  | ReturnEvent
  | AbandonedEvent;

/** Where events go. */
export interface EventOutput {
  take(event: WatchEvent): void;
}
