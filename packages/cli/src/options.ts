/** Options that several commands have, each described once, and what their help says of patterns and commands. */

import { Option } from 'commander';
import { positiveNumber } from './commands/tree-option.ts';

/** What a pattern is. */
export const PATTERN_MEANING = 'SYSTEM:EVENT or EVENT, in which * ? and [...] stand for other characters';
/** How a command ends that runs another. */
export const STATUS_MEANING =
  '128 + N when signal N\nkilled it, 127 when there is no such command, 126 when it cannot be executed';
const MORE = 'may be given again';

/**
 * `-e` of commands that take events which there are.
 *
 * @param purpose such as `print only these events`
 * @param fallback what there is without it
 */
export function eventOption(purpose: string, fallback?: string): Option {
  return repeated(new Option('-e, --event <pattern>', `${purpose}; ${again(fallback)}`));
}

/** `-e` of commands that take definitions of probes as well; see eventOption(). */
export function eventOrProbeOption(purpose: string, fallback?: string): Option {
  const description = `${purpose}, or probes that are made for it; ${again(fallback)}`;
  return repeated(new Option('-e, --event <pattern|definition>', description));
}

/** `--filter` of commands that take definitions of probes. */
export function filterOption(): Option {
  return new Option(
    '--filter <expression>',
    'only hits of the definitions for which this is true, such as `id == 7 && path ~ "/tmp/*"`',
  );
}

/** `-p` of commands that take several processes; see eventOption(). */
export function pidsOption(purpose: string, fallback?: string): Option {
  return new Option('-p, --pid <pid>', `${purpose}; ${again(fallback)}`).argParser(
    (value: string, collected: number[] | undefined) => [...(collected ?? []), positiveNumber(value)],
  );
}

/**
 * `--follow` of commands that serve.
 *
 * @param whom such as `the programs that register`
 */
export function followOption(whom: string): Option {
  return new Option(
    '--follow <how>',
    `engine: learn of forks, execs and ends by tracing ${whom}, where the kernel does not tell of them (in user namespaces); ` +
      'debuggers and strace cannot attach to them meanwhile',
  ).choices(['engine']);
}

/** Has an option's values collected. */
export function repeated(option: Option): Option {
  return option.argParser((value: string, collected: string[] | undefined) => [...(collected ?? []), value]);
}

function again(fallback: string | undefined): string {
  return fallback === undefined ? MORE : `${MORE} (default: ${fallback})`;
}
