/**
 * What a conformance run prints: every difference, and a table by kind of scenario.
 */
import type { Difference } from './compare.ts';
import { kindOf, type Scenario } from './scenario.ts';

/** One scenario that was run. */
export interface Outcome {
  readonly scenario: Scenario;
  readonly differences: readonly Difference[];
  /** What went wrong besides the answers: the server or the driver ended badly. */
  readonly trouble?: string;
}

/** Sums over scenarios: those of a kind, or all. */
export interface Tally {
  readonly kind: string;
  readonly scenarios: number;
  readonly failedScenarios: number;
  readonly answers: number;
  readonly same: number;
  readonly allowed: number;
  readonly different: number;
}

/** True when the scenario was answered as the kernel did, or differs only where it may. */
export function hasPassed(outcome: Outcome): boolean {
  return outcome.trouble === undefined && outcome.differences.every(({ reason }) => reason !== undefined);
}

function tally(kind: string, outcomes: readonly Outcome[]): Tally {
  const differences = outcomes.flatMap((outcome) => outcome.differences);
  const answers = outcomes
    .flatMap(({ scenario }) => scenario.steps)
    .filter(({ answer }) => answer !== undefined).length;
  const allowed = differences.filter(({ reason }) => reason !== undefined).length;
  return {
    kind,
    scenarios: outcomes.length,
    failedScenarios: outcomes.filter((outcome) => !hasPassed(outcome)).length,
    answers,
    same: answers - differences.length,
    allowed,
    different: differences.length - allowed,
  };
}

/** One tally for each kind, sorted by its name, and at last `all`. */
export function tallyByKind(outcomes: readonly Outcome[]): Tally[] {
  const kinds = [...new Set(outcomes.map(({ scenario }) => kindOf(scenario)))].toSorted();
  const byKind = kinds.map((kind) =>
    tally(
      kind,
      outcomes.filter(({ scenario }) => kindOf(scenario) === kind),
    ),
  );
  return [...byKind, tally('all', outcomes)];
}

/** The lines that say in what one scenario failed; none for one that passed. */
export function failureLines(outcome: Outcome): string[] {
  const { scenario, differences, trouble } = outcome;
  const lines = differences
    .filter(({ reason }) => reason === undefined)
    .flatMap(({ step, op, expected, got }) => [
      `${scenario.name} step ${step}: ${op}`,
      `  expected ${JSON.stringify(expected)}`,
      `  got      ${got === undefined ? 'no answer' : JSON.stringify(got)}`,
    ]);
  return trouble === undefined ? lines : [...lines, `${scenario.name}: ${trouble}`];
}

const COLUMNS: readonly (keyof Tally)[] = [
  'kind',
  'scenarios',
  'failedScenarios',
  'answers',
  'same',
  'allowed',
  'different',
];

/** The table of a run. */
export function tableLines(tallies: readonly Tally[]): string[] {
  const titles = ['kind', 'scenarios', 'failed', 'answers', 'same', 'allowed', 'different'];
  const rows = [titles, ...tallies.map((entry) => COLUMNS.map((column) => String(entry[column])))];
  const widths = titles.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) => {
    const [kind = '', ...numbers] = row;
    const cells = numbers.map((text, column) => text.padStart(widths[column + 1] ?? 0));
    return [kind.padEnd(widths[0] ?? 0), ...cells].join('  ');
  });
}
