/** CMD of `usertrace run`: whether it can run at all, and what its end means for our own exit code. */

import { accessSync, constants, statSync } from 'node:fs';
import { constants as osConstants } from 'node:os';
import { delimiter, join } from 'node:path';
import type { TaskEnd } from '@usertrace/abi';
import { bytesOf, environmentValue, type ProgramText } from '@usertrace/linux';
import { EXIT, Failure, errorCode } from '../failure.ts';
import { givenEnvironment } from './given-texts.ts';

/**
 * Checks that a command can be executed, in the way execvp(3) looks for it.
 *
 * @param command a path when it has a slash, else a name that is looked up
 * @param path the value of $PATH; ours if left out
 * @throws {Failure} with exit code 127 when there is no such file, 126 when it cannot be executed: what sh(1) does
 */
export function checkCommand(
  command: ProgramText,
  path: ProgramText = environmentValue(givenEnvironment(), 'PATH') ?? '',
): void {
  // One character a byte, so that they can be split and joined.
  const name = bytesOf(command).toString('latin1');
  const folders = bytesOf(path).toString('latin1').split(delimiter);
  const isPath = name.includes('/');
  const candidates = isPath ? [name] : folders.map((folder) => join(folder === '' ? '.' : folder, name));
  let refused: Buffer | undefined;
  for (const candidate of name === '' ? [] : candidates) {
    const file = Buffer.from(candidate, 'latin1');
    const state = executableState(file);
    if (state === 'executable') return;
    if (state === 'refused') refused ??= file;
  }
  const doing = `cannot run "${bytesOf(command).toString()}"`;
  if (refused !== undefined)
    throw new Failure(`${doing}: ${refused.toString()} is not a file you may execute`, EXIT.notExecutable);
  const where = isPath ? 'there is no such file' : 'it is in no folder of $PATH';
  throw new Failure(`${doing}: ${where}`, EXIT.notFound);
}

function executableState(file: Buffer): 'executable' | 'refused' | 'missing' {
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

/** The same for how wait(2) tells it. */
export function exitCodeOfTask({ code, signal }: TaskEnd): number {
  return signal === undefined ? (code ?? EXIT.failure) : EXIT.signalBase + signal;
}

/** The exit code for a command that passed `checkCommand` and still could not be started. */
export function exitCodeOfStartError(error: unknown): number {
  return errorCode(error) === 'ENOENT' ? EXIT.notFound : EXIT.notExecutable;
}
