/** `usertrace recover`: the last events of processes that died, and recordings whose recorder did. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ErrnoError } from '@usertrace/base';
import { finishRecording, TraceDatError } from '@usertrace/formats';
import {
  dumpLanes,
  findProcesses,
  hasEvents,
  type ProviderProcess,
  recordingFiles,
} from '@usertrace/recording';
import { errorCode, Failure } from '../failure.ts';
import { makeFolder } from '../folder.ts';
import { outputFailure } from '../recording/output-failure.ts';
import { readVersion } from '../version.ts';
import { describe } from './snapshot.ts';

/** Names that are tried for the file of one process: ids of processes are used again. */
const NAMES_MAX = 1000;

/** What `usertrace recover` was asked for. */
export interface RecoverOptions {
  /** Where the files go. */
  readonly output: string;
  /** Leave what the processes left. */
  readonly keep?: true;
  readonly json?: true;
}

/**
 * Recovers what dead processes left, or finishes recordings.
 *
 * @param paths recordings; without any, dead processes are looked for
 * @throws {Failure} when one of them could not be
 */
export async function recover(paths: readonly string[], options: RecoverOptions): Promise<void> {
  const failures = paths.length > 0 ? await finishAll(paths) : await recoverProcesses(options);
  if (failures.length > 0) throw new Failure(failures.join('\nusertrace: '));
}

async function finishAll(paths: readonly string[]): Promise<string[]> {
  const failures: string[] = [];
  for (const path of paths) {
    try {
      const result = await finishRecording(path, { files: recordingFiles() });
      if (result.state === 'unfinished')
        failures.push(`${path} stays as it is, and readable: ${result.reason}`);
      else
        process.stdout.write(`${path}: ${result.how === 'already' ? 'was finished already' : 'finished'}\n`);
    } catch (error) {
      if (error instanceof TraceDatError) failures.push(`${path}: ${error.message}`);
      else if (error instanceof ErrnoError) failures.push(error.message);
      else if (errorCode(error) === undefined) throw error;
      else failures.push(`cannot finish ${path}: ${errorCode(error)}`);
    }
  }
  return failures;
}

async function recoverProcesses(options: RecoverOptions): Promise<string[]> {
  const found = findProcesses({ state: 'dead', access: 'change' });
  const failures = [...found.warnings];
  try {
    let count = 0;
    for (const dead of found.processes) {
      try {
        if (await recoverProcess(dead, options)) count += 1;
      } catch (error) {
        if (error instanceof Failure) failures.push(error.message);
        else if (errorCode(error) === undefined) throw error;
        else failures.push(`cannot recover process ${dead.pid}: ${(error as Error).message}`);
      }
    }
    if (count === 0 && failures.length === 0 && !options.json) {
      process.stdout.write('nothing to recover: no process died with events\n');
    }
  } finally {
    found.close();
  }
  return failures;
}

/** @returns whether there was something to recover */
async function recoverProcess(dead: ProviderProcess, options: RecoverOptions): Promise<boolean> {
  const files = dead.files.filter((file) => !file.opened.hasEnded && hasEvents(file));
  if (files.length > 0) {
    makeOutput(options.output);
    const path = freeName(options.output, dead.pid);
    const dump = await dumpLanes(files, path, readVersion()).catch((error: unknown) => {
      throw outputFailure(error, path);
    });
    describe(dump, path, options.json === true, { pid: dead.pid, comm: dead.comm });
    if (dump.warnings.length > 0 || dump.damagedPages > 0) {
      const left = files.map((file) => file.path).join(' ');
      throw new Failure(
        `process ${dead.pid} left damaged files, which stay: ${left}; remove them when you are done`,
      );
    }
  }
  if (options.keep) return files.length > 0;
  // Our lock on each file says that it is nobody's, and that nobody else recovers it now.
  for (const file of dead.files) file.discard();
  return files.length > 0;
}

function makeOutput(folder: string): void {
  try {
    makeFolder(folder);
  } catch (error) {
    throw outputFailure(error, folder);
  }
}

function freeName(folder: string, pid: number): string {
  for (let number = 1; number < NAMES_MAX; number++) {
    const path = join(folder, `trace-${pid}${number === 1 ? '' : `.${number}`}.dat`);
    if (!existsSync(path)) return path;
  }
  throw new Failure(`${folder} is full of files trace-${pid}.*.dat; name another folder with -o`);
}
