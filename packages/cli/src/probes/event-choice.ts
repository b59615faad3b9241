/** What -e may be given: patterns of events that are there, and definitions of probes that are made for the run. */

import { EXIT, Failure } from '../failure.ts';

/** A definition has a place behind its name; a pattern has no blank. `sdt:` needs a provider and a name. */
const DEFINITION = /^[pr]\d*(?::\S+)?\s+\S|^sdt:[^\s*?[]+:/;

/** -e options, told apart. */
export interface EventOptions {
  readonly patterns: readonly string[];
  readonly definitions: readonly string[];
}

/**
 * Tells definitions from patterns.
 *
 * @throws {Failure} for what is neither: no event has such a name, and one would wait for it for ever
 */
export function splitEventOptions(values: readonly string[]): EventOptions {
  const patterns = values.filter((value) => !DEFINITION.test(value));
  const wrong = patterns.find((value) => /[\s/]/u.test(value));
  if (wrong !== undefined)
    throw new Failure(
      `"${wrong}" is neither a pattern of events nor a probe's definition, which begins with p, r or sdt:, as \`usertrace probe --help\` shows`,
      EXIT.usage,
    );
  return {
    patterns,
    definitions: values.filter((value) => DEFINITION.test(value)),
  };
}
