/**
 * `RunSession`: one run as the outer process sees it. It makes the inner process (inner.ts) in its namespaces, holds
 * it until it ends, and tells it the signals that came here.
 *
 * Nothing of the user's terminal is taken away: CMD, far inside, has this process's stdin, stdout and stderr.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, constants, openSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { bytesOf, closeDescriptor, openProcessConnector, type ProgramText } from '@usertrace/linux';
import { Failure } from '../failure.ts';
import { anyEventMatcher } from '../pattern.ts';
import { type CommandLauncher, definedVariables } from '../recording/followed-command.ts';
import type { Follow } from '../serve/following-server.ts';
import { checkCommand, exitCodeOf, exitCodeOfStartError } from './command.ts';
import { givenEnvironment } from './given-texts.ts';
import {
  attemptNamespaces,
  explainRefusal,
  mayMount,
  readNamespaceSettings,
  serverNamespace,
} from './namespace.ts';
import {
  type InnerMessage,
  type OuterMessage,
  type RunEnd,
  type RunOrder,
  TRACE_TEXT_FD,
} from './protocol.ts';
import { RELAYED_SIGNALS } from './signals.ts';

/** What is run, and what is recorded. */
export interface RunRequest {
  /** Where CMD finds the tree: a folder that exists. */
  readonly mount: string;
  readonly command: readonly ProgramText[];
  /** Patterns of events that are switched on when they are registered. */
  readonly patterns: readonly string[];
  /** Engines, in place of the process connector and of searching /proc. */
  readonly follow?: Follow;
  /** Told sentences for the user. */
  readonly warn?: (text: string) => void;
  /** Makes the command of a process that waits, so that it has probes from its first instruction on; else it just begins. */
  readonly launcher?: CommandLauncher;
}

/** The inner program, as it is built. */
const INNER_PROGRAM = fileURLToPath(new URL('./inner.js', import.meta.url));

/** A run from its start until CMD has ended and the tree is gone. */
export class RunSession {
  /** The events as the kernel prints them in trace_pipe. It ends with the run; whoever does not read it loses events. */
  readonly traceText: Readable;
  /** Resolves when CMD runs. Rejects like `ended`. */
  readonly started: Promise<void>;
  /** Resolves after CMD's end. Rejects with a `Failure` when it could not be run. */
  readonly ended: Promise<RunEnd>;
  readonly #inner: ChildProcess;
  #commandPid: number | undefined;

  /**
   * Begins a run.
   *
   * @throws {Failure} when CMD is no program, when there is nothing to mount on, or when namespaces are refused
   */
  constructor(request: RunRequest) {
    const order = prepare(request);
    const [file, ...words] = [
      'unshare',
      ...serverNamespace(order.isPrivileged),
      process.execPath,
      INNER_PROGRAM,
    ];
    const connectorFd = order.isPrivileged || order.follow !== undefined ? undefined : subscribe();
    this.#inner = spawn(file, words, {
      serialization: 'advanced',
      stdio: ['inherit', 'inherit', 'inherit', 'pipe', 'ipc', connectorFd ?? 'ignore'],
    });
    // Only our descriptor: the subscription is the inner process's from now on.
    if (connectorFd !== undefined) closeDescriptor(connectorFd);
    this.traceText = this.#inner.stdio[TRACE_TEXT_FD] as Readable;
    this.ended = this.#whenEnded();
    this.started = new Promise((resolve, reject) => {
      this.#hear((message) => {
        if (message.kind === 'started') resolve();
      });
      this.ended.then(() => resolve(), reject);
    });
    // Whoever does not wait for the start hears of a failure through `ended`.
    this.started.catch(() => undefined);
    const passOn = (signal: NodeJS.Signals): void => {
      this.#say({ kind: 'signal', signal: signal as (typeof RELAYED_SIGNALS)[number] });
    };
    for (const signal of RELAYED_SIGNALS) process.on(signal, passOn);
    const { launcher, command, warn } = request;
    if (warn !== undefined)
      this.#hear((message) => {
        if (message.kind === 'warning') warn(message.text);
      });
    if (launcher !== undefined)
      this.#hear((message) => {
        if (message.kind === 'waiting') void this.#launch(launcher, command, message.pid);
      });
    const letGo = (): void => {
      for (const signal of RELAYED_SIGNALS) process.off(signal, passOn);
    };
    this.ended.then(letGo, letGo);
    this.#say({ kind: 'start', order: { ...order, hasConnector: connectorFd !== undefined } });
  }

  /**
   * Switches events that CMD has registered by now.
   *
   * @returns their full names, when every program knows
   */
  switchEvents(pattern: string, isOn: boolean): Promise<readonly string[]> {
    return new Promise((resolve, reject) => {
      this.#hear((message) => {
        if (message.kind === 'switched') resolve(message.events);
      });
      this.ended.then(() => resolve([]), reject);
      this.#say({ kind: 'switch', pattern, isOn });
    });
  }

  /** Whether a process is the command; it is known when a launcher has made it. */
  isCommand(pid: number): boolean {
    return pid === this.#commandPid;
  }

  async #launch(launcher: CommandLauncher, command: readonly ProgramText[], standIn: number): Promise<void> {
    this.#commandPid = standIn;
    const [program = '', ...args] = command.map((text) => bytesOf(text).toString());
    try {
      await launcher.launch({ standIn, command: program, args, env: definedVariables(process.env) });
      this.#say({ kind: 'launched' });
    } catch (error) {
      const message = `cannot run "${program}": ${(error as Error).message}`;
      this.#say({ kind: 'refused', message, exitCode: exitCodeOfStartError(error) });
    }
  }

  #say(message: OuterMessage): void {
    // The inner process may have ended in this moment; its `exit` event says so.
    if (this.#inner.connected) this.#inner.send(message, () => undefined);
  }

  #hear(listener: (message: InnerMessage) => void): void {
    this.#inner.on('message', listener);
  }

  #whenEnded(): Promise<RunEnd> {
    return new Promise((resolve, reject) => {
      let last: Extract<InnerMessage, { kind: 'ended' | 'failed' }> | undefined;
      this.#hear((message) => {
        if (message.kind === 'ended' || message.kind === 'failed') last = message;
      });
      this.#inner.once('error', (error) => reject(new Failure(`cannot start unshare: ${error.message}`)));
      this.#inner.once('close', (code, signal) => {
        if (last?.kind === 'ended') resolve(last.end);
        else if (last !== undefined) reject(new Failure(last.message, last.exitCode));
        else reject(new Failure('the serving process ended too early', exitCodeOf({ code, signal }) || 1));
      });
    });
  }
}

/**
 * Subscribes to the process connector, which only answers outside of the user namespaces that are to be made.
 *
 * @returns the descriptor, or undefined where the kernel has none for us; descendants are searched for then
 */
function subscribe(): number | undefined {
  const connector = openProcessConnector();
  return 'fd' in connector ? connector.fd : undefined;
}

/** open(2)'s O_PATH, which node:fs does not name. */
const O_PATH = 0o10_000_000;

/** Asks nothing of what is mounted there: a server that hangs would hold us, and its tree will be covered anyway. */
function isDirectory(path: string): boolean {
  try {
    closeSync(openSync(path, O_PATH | constants.O_DIRECTORY));
    return true;
  } catch {
    return false;
  }
}

/** Checks all that can be checked before any process is made. */
function prepare({ mount, command, patterns, follow, launcher }: RunRequest): Omit<RunOrder, 'hasConnector'> {
  anyEventMatcher(patterns);
  checkCommand(command[0] ?? '');
  if (!isDirectory(mount)) {
    throw new Failure(
      `there is no folder ${mount} to mount on, and none can be made in sysfs; name another with --mount DIR, ` +
        'and tell the program to look there',
    );
  }
  const isPrivileged = mayMount();
  const uid = process.getuid?.() ?? 0;
  const gid = process.getgid?.() ?? 0;
  const attempt = attemptNamespaces(isPrivileged, uid, gid);
  if (!attempt.succeeded) throw new Failure(explainRefusal(attempt, isPrivileged, readNamespaceSettings()));
  return {
    mount,
    command,
    patterns,
    environment: givenEnvironment(),
    ...(follow === undefined ? {} : { follow }),
    ...(launcher === undefined ? {} : { standIn: launcher.standIn }),
    isPrivileged,
    uid,
    gid,
  };
}
