/** CMD of `usertrace run`: whether it can run at all, and what its end means for our own exit code. */

import { accessSync, constants, statSync } from 'node:fs';
import { constants as osConstants } from 'node:os';
import { delimiter, join } from 'node:path';
import { EXIT, Failure, errorCode } from '../failure.ts';

/**
 * Checks that a command can be executed, in the way execvp(3) looks for it.
 *
 * @param name a path when it has a slash, else a name that is looked up
 * @param path the value of $PATH
 * @throws {Failure} with exit code 127 when there is no such file, 126 when it cannot be executed: what sh(1) does
 */
export function checkCommand(name: string, path: string): void {
  const candidates = name.includes('/')
    ? [name]
    : path.split(delimiter).map((folder) => join(folder === '' ? '.' : folder, name));
  let refused: string | undefined;
  for (const candidate of name === '' ? [] : candidates) {
    const state = executableState(candidate);
    if (state === 'executable') return;
    if (state === 'refused') refused ??= candidate;
  }
  if (refused !== undefined) {
    throw new Failure(`cannot run "${name}": ${refused} is not a file you may execute`, EXIT.notExecutable);
  }
  const where = name.includes('/') ? 'there is no such file' : 'it is in no folder of $PATH';
  throw new Failure(`cannot run "${name}": ${where}`, EXIT.notFound);
}

function executableState(file: string): 'executable' | 'refused' | 'missing' {
  try {
    if (!statSync(file).isFile()) return 'refused';
    accessSync(file, constants.X_OK);
    return 'executable';
  } catch (error) {
    const isMissing = errorCode(error) === 'ENOENT' || errorCode(error) === 'ENOTDIR';
    return isMissing ? 'missing' : 'refused';
  }
}

/** How a process ended, as Node's `exit` event gives it: one of both is null. */
export interface ProcessEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** The exit code that stands for a process's end: its own, or 128 and the number of the signal that killed it. */
export function exitCodeOf({ code, signal }: ProcessEnd): number {
  return signal === null ? (code ?? EXIT.failure) : EXIT.signalBase + osConstants.signals[signal];
}

/** The exit code for a command that passed `checkCommand` and still could not be started. */
export function exitCodeOfStartError(error: unknown): number {
  return errorCode(error) === 'ENOENT' ? EXIT.notFound : EXIT.notExecutable;
}
