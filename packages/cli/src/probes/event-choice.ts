/** What -e may be given: patterns of events that are there, and definitions of probes that are made for the run. */

/** A definition has a place behind its name; a pattern has no blank. `sdt:` needs a provider and a name. */
const DEFINITION = /^[pr]\d*(?::\S+)?\s+\S|^sdt:[^\s*?[]+:/;

/** -e options, told apart. */
export interface EventOptions {
  readonly patterns: readonly string[];
  readonly definitions: readonly string[];
}

/** Tells definitions from patterns. */
export function splitEventOptions(values: readonly string[]): EventOptions {
  return {
    patterns: values.filter((value) => !DEFINITION.test(value)),
    definitions: values.filter((value) => DEFINITION.test(value)),
  };
}
