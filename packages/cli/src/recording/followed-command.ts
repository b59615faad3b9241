/**
 * `FollowedCommand`: a command that is run to be recorded. It has our stdin, stdout and stderr, gets the signals that
 * we get, and its descendants are known by their parents.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { Failure } from '../failure.ts';
import { checkCommand, exitCodeOf, exitCodeOfStartError } from '../run/command.ts';
import { RELAYED_SIGNALS } from '../run/signals.ts';

/** Parents that are looked at for one process: deeper trees are cut. */
const ANCESTORS_MAX = 64;
/** Signals that a terminal sends to everybody in the foreground, so the command has them already. */
export const TERMINAL_SIGNALS: ReadonlySet<string> = new Set(['SIGINT', 'SIGQUIT']);

/** Who has a process that waits become a program. */
export interface CommandLauncher {
  /** The command line of a process that waits, and ends by itself when nobody wants it. */
  readonly standIn: readonly [program: string, ...args: string[]];
  /** @throws {Error} with what execve(2) answered, or why it could not be asked */
  launch(body: {
    readonly standIn: number;
    readonly command: string;
    readonly args: readonly string[];
    readonly env: Readonly<Record<string, string>>;
  }): Promise<void>;
}

export class FollowedCommand {
  /** Resolves when the program is there. Rejects with a Failure when it cannot be started. */
  readonly started: Promise<void>;
  /** Resolves with the exit code that stands for its end; never rejects. */
  readonly ended: Promise<number>;
  readonly #child: ChildProcess;
  readonly #descendants = new Set<number>();

  /**
   * Starts a command.
   *
   * @param command the program and its arguments
   * @param environment of the command, besides our own
   * @param launcher makes it of a process that waits, so that it has probes from its first instruction on; else it just begins
   * @throws {Failure} when there is no such program
   */
  constructor(
    command: readonly string[],
    environment: Readonly<Record<string, string>>,
    launcher?: CommandLauncher,
  ) {
    const [program = '', ...words] = command;
    checkCommand(program, process.env['PATH'] ?? '');
    // Before there is a command that could make somebody send one: SIGUSR1 would start a debugger here.
    for (const signal of RELAYED_SIGNALS) process.on(signal, this.#passOn);
    const env = { ...process.env, ...environment };
    const [file, ...args] = launcher === undefined ? [program, ...words] : launcher.standIn;
    this.#child = spawn(file, args, { stdio: 'inherit', env: launcher === undefined ? env : {} });
    if (this.#child.pid !== undefined) this.#descendants.add(this.#child.pid);
    this.ended = new Promise((resolve) => {
      const end = (exitCode: number): void => {
        for (const signal of RELAYED_SIGNALS) process.off(signal, this.#passOn);
        resolve(exitCode);
      };
      this.#child.once('error', (error) => end(exitCodeOfStartError(error)));
      this.#child.once('exit', (code, signal) => end(exitCodeOf({ code, signal })));
    });
    this.started = this.#launch(program, words, env, launcher);
    // Who does not wait for it hears of the end.
    this.started.catch(() => undefined);
  }

  /** Whether a process is the command's, or one that it or its descendants started. */
  isDescendant(pid: number): boolean {
    let ancestor: number | undefined = pid;
    const path: number[] = [];
    while (ancestor !== undefined && ancestor > 1 && path.length < ANCESTORS_MAX) {
      if (this.#descendants.has(ancestor)) {
        // Remembered: a parent may end before its children do.
        for (const known of path) this.#descendants.add(known);
        return true;
      }
      path.push(ancestor);
      ancestor = parentOf(ancestor);
    }
    return false;
  }

  async #launch(
    command: string,
    args: readonly string[],
    env: NodeJS.ProcessEnv,
    launcher: CommandLauncher | undefined,
  ): Promise<void> {
    const standIn = this.#child.pid;
    if (launcher === undefined || standIn === undefined) return;
    try {
      await launcher.launch({ standIn, command, args, env: definedVariables(env) });
    } catch (error) {
      this.#child.kill('SIGKILL');
      throw new Failure(`cannot run "${command}": ${(error as Error).message}`, exitCodeOfStartError(error));
    }
  }

  readonly #passOn = (signal: NodeJS.Signals): void => {
    if (TERMINAL_SIGNALS.has(signal) && isInForeground()) return;
    this.#child.kill(signal);
  };
}

/** An environment as a launcher takes it. */
export function definedVariables(env: NodeJS.ProcessEnv): Record<string, string> {
  const defined = Object.entries(env).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value]],
  );
  return Object.fromEntries(defined) as Record<string, string>;
}

/** Fields of proc_pid_stat(5) behind the command's closing parenthesis. */
function statFields(pid: number | 'self'): string[] {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return [];
  }
}

function parentOf(pid: number): number | undefined {
  const parent = Number(statFields(pid)[1]);
  return Number.isInteger(parent) ? parent : undefined;
}

/** Whether our process group is the one that the terminal sends its signals to: fields pgrp and tpgid. */
export function isInForeground(): boolean {
  const fields = statFields('self');
  return fields[2] !== undefined && fields[2] === fields[5];
}
