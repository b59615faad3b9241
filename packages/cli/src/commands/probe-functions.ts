/** `usertrace probe functions`: the names that definitions can use for a file. */

import { listProbeFunctions } from '@usertrace/prober';
import { Failure } from '../failure.ts';
import { loadDemangler } from '../probes/demangler.ts';

/**
 * Prints the functions of a file in the order of their addresses.
 *
 * @param text only those that have it in their name, as the linker or as the source has it
 * @throws {Failure} when the file cannot be read, or is no program
 */
export async function listFunctions(
  path: string,
  text: string | undefined,
  options: { readonly json?: true },
): Promise<void> {
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
  const lines = found.map((one) => {
    const source = one.function === one.name ? '' : `  ${one.function}`;
    return `0x${one.offset.toString(16).padStart(8, '0')}  ${one.name}${source}\n`;
  });
  process.stdout.write(lines.join(''));
}
