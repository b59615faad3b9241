/**
 * Scenarios: scripts for uevdrive with the answers that the real kernel gave (tests/oracle/README.md), and the
 * list of differences that FUSE makes impossible to avoid.
 *
 * Both files are read once and never changed.
 */
import { readFileSync } from 'node:fs';

/** What an op answered: a return value with the error's name, a word, a text, or names. */
export interface Answer {
  readonly ret?: number;
  readonly errno?: string;
  readonly write_index?: number;
  readonly word?: string;
  readonly text?: string;
  readonly names?: readonly string[];
}

/** One script line; `- settle` lines have no answer. */
export interface Step {
  readonly op: string;
  readonly answer?: Answer;
}

/** A scenario for an empty system. Its name begins with its kind, such as `parse-`. */
export interface Scenario {
  readonly name: string;
  readonly steps: readonly Step[];
}

/** An op whose answer may differ, and why nothing can be done about it. */
export interface AllowedDifference {
  /** The op's name, such as `raw`. */
  readonly op: string;
  /** Only where the text after the op's name matches this; anywhere without it. */
  readonly arguments?: RegExp;
  readonly reason: string;
}

/** A differing answer must stay an exception: more ops than this are not accepted. */
export const MAX_ALLOWED_OPS = 5;

/** The kind of a scenario: its name up to the first hyphen. */
export function kindOf(scenario: Scenario): string {
  return scenario.name.split('-', 1)[0] ?? '';
}

/** Reads vectors.jsonl: one scenario a line. */
export function readScenarios(file: string): Scenario[] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Scenario);
}

/**
 * Reads differences.json.
 *
 * @throws {Error} when it allows more than MAX_ALLOWED_OPS ops, or gives one no reason
 */
export function readAllowedDifferences(file: string): AllowedDifference[] {
  const entries = JSON.parse(readFileSync(file, 'utf8')) as {
    op: string;
    arguments?: string;
    reason: string;
  }[];
  if (entries.length > MAX_ALLOWED_OPS) {
    throw new Error(`Cannot accept ${entries.length} entries in "${file}": ${MAX_ALLOWED_OPS} at most`);
  }
  return entries.map((entry) => {
    if (!entry.op || !entry.reason)
      throw new Error(`Cannot accept an entry of "${file}" without op or reason`);
    const { arguments: pattern, ...rest } = entry;
    return pattern === undefined ? rest : { ...rest, arguments: new RegExp(pattern) };
  });
}

/**
 * The parts of a script line: `a reg 0 1 ...` is actor `a`, op `reg`, and the rest.
 */
export function parseOp(op: string): { actor: string; name: string; rest: string } {
  const [, actor = '', name = '', rest = ''] = /^(\S) (\S+) ?(.*)$/s.exec(op) ?? [];
  return { actor, name, rest };
}
