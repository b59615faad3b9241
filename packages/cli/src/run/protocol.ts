/**
 * What the outer and the inner process of `usertrace run` say to each other over Node's IPC channel, besides the
 * trace text, which has a pipe of its own. The channel takes bytes (`serialization: 'advanced'`).
 *
 * The outer process belongs to the user: it checks arguments, prints, and ends with CMD's status. The inner one
 * stands in the namespaces, serves the tree and is CMD's parent. Each side sends `OuterMessage`s or
 * `InnerMessage`s; the first of the outer one is `start`, and the inner one's last is `failed` or `ended`. A command with
 * probes is made of a process that waits: the inner one says `waiting`, and the outer one has the prober launch the command in it.
 */

import type { ProgramText } from '@usertrace/linux';
import type { Follow } from '../serve/following-server.ts';
import type { RelayedSignal } from './signals.ts';

/** The file descriptor of the inner process that takes the trace text. */
export const TRACE_TEXT_FD = 3;

/** The file descriptor of the inner process that may be a subscription to the kernel's process connector. */
export const PROCESS_CONNECTOR_FD = 5;

/** What to run. */
export interface RunOrder {
  /** Where the tree is mounted. */
  readonly mount: string;
  /** The command and its arguments, at least the command. */
  readonly command: readonly ProgramText[];
  /** Its environment, `NAME=VALUE` each: the inner process's own has gone through Node, which takes text alone. */
  readonly environment: readonly ProgramText[];
  /** Patterns of events that are switched on when they are registered. */
  readonly patterns: readonly string[];
  /** The command line of a process that waits until a prober has it become the command; without probes there is none. */
  readonly standIn?: readonly string[];
  /** Whether the inner process is still in the user's own user namespace. */
  readonly isPrivileged: boolean;
  /** Whether PROCESS_CONNECTOR_FD is one. */
  readonly hasConnector: boolean;
  /** Whether the command is to be followed by engines. */
  readonly follow?: Follow;
  /** The user's own ids, for CMD. */
  readonly uid: number;
  readonly gid: number;
}

/** What the outer process says. */
export type OuterMessage =
  | { readonly kind: 'start'; readonly order: RunOrder }
  | { readonly kind: 'signal'; readonly signal: RelayedSignal }
  | { readonly kind: 'launched' }
  | { readonly kind: 'refused'; readonly message: string; readonly exitCode: number }
  | { readonly kind: 'switch'; readonly pattern: string; readonly isOn: boolean };

/** How a run ended. */
export interface RunEnd {
  /** CMD's exit code, or what stands for the signal that killed it. */
  readonly exitCode: number;
  /** Events that were recorded and printed. */
  readonly eventCount: number;
  /** Events that were overwritten before they could be printed. */
  readonly lostCount: number;
}

/** What the inner process says. */
export type InnerMessage =
  | { readonly kind: 'waiting'; readonly pid: number }
  | { readonly kind: 'started' }
  | { readonly kind: 'warning'; readonly text: string }
  | { readonly kind: 'switched'; readonly events: readonly string[] }
  | { readonly kind: 'failed'; readonly message: string; readonly exitCode: number }
  | { readonly kind: 'ended'; readonly end: RunEnd };
