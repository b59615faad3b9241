/** `usertrace probe functions`: the names that definitions can use for a file. */

import { accessSync, constants } from 'node:fs';
import { listProbeFunctions } from '@usertrace/prober';
import { errorCode, Failure } from '../failure.ts';
import { loadDemangler } from '../probes/demangler.ts';

/**
 * Prints the functions of a file in the order of their addresses.
 *
 * @param text only those that have it in their name, as the linker or as the source has it
 * @throws {Failure} when the file cannot be read, is no program, or has no such function
 */
export async function listFunctions(
  path: string,
  text: string | undefined,
  options: { readonly json?: true },
): Promise<void> {
  checkReadable(path);
  const functions = await listProbeFunctions(path);
  if (functions === undefined)
    throw new Failure(`cannot read ${path}: it is no program or library for this machine`);
  const demangle = loadDemangler();
  const found = functions
    .map(({ name, offset, size }) => ({ name, offset, size, function: demangle(name) }))
    .filter((one) => text === undefined || one.name.includes(text) || one.function.includes(text));
  if (options.json) {
    process.stdout.write(`${JSON.stringify(found, undefined, 2)}\n`);
    return;
  }
  if (functions.length === 0)
    throw new Failure(
      `${path} has no names of functions, since it was stripped: give places as PATH:0xOFFSET, or install its debug symbols`,
    );
  if (found.length === 0) throw new Failure(`no function of ${path} has "${text}" in its name`);
  const lines = found.map((one) => {
    const source = one.function === one.name ? '' : `  ${one.function}`;
    return `0x${one.offset.toString(16).padStart(8, '0')}  ${one.name}${source}\n`;
  });
  process.stdout.write(lines.join(''));
}

/** @throws {Failure} when the file is not there, or may not be read */
function checkReadable(path: string): void {
  try {
    accessSync(path, constants.R_OK);
  } catch (error) {
    const why = errorCode(error) === 'EACCES' ? 'you may not read it' : 'there is no such file';
    throw new Failure(`cannot read ${path}: ${why}`);
  }
}
