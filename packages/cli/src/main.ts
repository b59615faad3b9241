/** The `usertrace` command: runs what program.ts describes, and turns its failures into messages and exit codes. */

import { CommanderError } from 'commander';
import { coloursFor } from './colours.ts';
import { EXIT, Failure, describeError } from './failure.ts';
import { createProgram } from './program.ts';
import { surviveLostOutput } from './standard-output.ts';

surviveLostOutput();
try {
  await createProgram().parseAsync();
} catch (error) {
  process.exitCode = report(error);
}

/** Prints what a user should know. @returns the exit code */
function report(error: unknown): number {
  // commander has already printed its message, or the help or version that was asked for.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  const prefix = coloursFor(process.stderr).red('usertrace:');
  process.stderr.write(`${prefix} ${describeError(error)}\n`);
  return error instanceof Failure ? error.exitCode : EXIT.failure;
}
