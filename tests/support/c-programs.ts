/**
 * The C and C++ programs of tests/programs, tests/oracle and bench, compiled on demand into build/bin.
 *
 * A program is compiled again when its source or the header it shares is newer. Two processes may compile the same
 * one at a time: each writes a file of its own and renames it into place.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, renameSync, statSync } from 'node:fs';
import path from 'node:path';
import { inRepository } from './repository.ts';

const COMPILE_TIMEOUT_MS = 60_000;
const SHARED_HEADER = inRepository('tests', 'programs', 'user-events-abi.h');

function modifiedAtMs(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

/**
 * Compiles a C program, or a C++ one (`.cc`), unless that was done.
 *
 * @param source the source's path below the repository's root, such as `tests/programs/storm.c`; C++ is `.cc`; a header of the same
 *   name may lie beside it
 * @param linking further arguments of the compiler
 * @returns the program's absolute path
 * @throws {Error} when there is no compiler, or it refuses the source
 */
export function cProgram(source: string, linking: readonly string[] = ['-static']): string {
  const sourcePath = inRepository(source);
  const headers = [SHARED_HEADER, sourcePath.replace(/\.c$/, '.h')];
  const { name, ext } = path.parse(source);
  const [compiler, standard] = ext === '.cc' ? ['c++', '-std=gnu++17'] : ['cc', '-std=gnu11'];
  const program = inRepository('build', 'bin', name);
  if (modifiedAtMs(program) > Math.max(...[sourcePath, ...headers].map(modifiedAtMs))) return program;
  mkdirSync(path.dirname(program), { recursive: true });
  const unfinished = `${program}.${process.pid}`;
  execFileSync(compiler, [standard, '-O2', '-pthread', '-o', unfinished, sourcePath, ...linking], {
    stdio: ['ignore', 'inherit', 'inherit'],
    timeout: COMPILE_TIMEOUT_MS,
  });
  renameSync(unfinished, program);
  return program;
}

/**
 * Compiles a program as `cProgram` does, and copies it: probes of the copy are hit by nobody who executes the original.
 *
 * @param folder for the copy, which has the name of the program unless `name` says another
 * @returns the copy's absolute path
 */
export function cProgramCopy(source: string, folder: string, name: string = path.parse(source).name): string {
  const copy = path.join(folder, name);
  copyFileSync(cProgram(source), copy);
  chmodSync(copy, 0o755);
  return copy;
}
