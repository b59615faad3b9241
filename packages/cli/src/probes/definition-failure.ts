/** What a user is told of a definition that was refused: the kernel's text, and a caret below the mistake. */

import { ProberRefusal } from '@usertrace/prober';
import { EXIT, Failure } from '../failure.ts';

/** What is said of a name that no function of the file has. */
const NO_FUNCTION = 'Failed to find the given function';

/** Turns a prober's refusal into a Failure; anything else stays what it is. */
export function definitionFailure(error: unknown): unknown {
  if (!(error instanceof ProberRefusal)) return error;
  const { log, message, code } = error;
  // A definition that is right, of a probe that is there already, is no wrong usage.
  const exitCode = code === 'EINVAL' || (log !== undefined && code !== 'EEXIST') ? EXIT.usage : EXIT.failure;
  if (log === undefined) return new Failure(message, exitCode);
  // One character a byte, as the kernel counts them; the terminal shows some of several bytes as one.
  const shown = Buffer.from(log.command, 'latin1').toString();
  const indent = Buffer.from(log.command.slice(0, log.position), 'latin1').toString().length;
  return new Failure(`${log.text}\n  ${shown}\n  ${' '.repeat(indent)}^${adviceFor(log)}`, exitCode);
}

/** What helps, where the kernel's text does not say it. */
function adviceFor({ text, command, position }: NonNullable<ProberRefusal['log']>): string {
  if (text !== NO_FUNCTION) return '';
  // The caret is below the function, behind PATH and a colon.
  const path = Buffer.from(command.slice(0, position - 1), 'latin1')
    .toString()
    .split(/\s/u)
    .at(-1);
  return `\n\`usertrace probe functions ${path}\` lists its functions by name; without names, give a place as PATH:0xOFFSET`;
}
