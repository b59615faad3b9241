/**
 * The differences between what a server answered and what the kernel had answered.
 */
import { isDeepStrictEqual } from 'node:util';
import { normaliseAnswers } from './normalise.ts';
import { type AllowedDifference, type Answer, parseOp, type Scenario } from './scenario.ts';

/** One answer that was not the kernel's. */
export interface Difference {
  readonly scenario: string;
  /** The script's line number, from 1. */
  readonly step: number;
  readonly op: string;
  readonly expected: Answer;
  /** Undefined when the driver never got that far. */
  readonly got: Answer | undefined;
  /** Why it is unavoidable; undefined for a failure. */
  readonly reason?: string;
}

function reasonFor(op: string, allowed: readonly AllowedDifference[]): string | undefined {
  const { name, rest } = parseOp(op);
  return allowed.find((entry) => entry.op === name && (entry.arguments?.test(rest) ?? true))?.reason;
}

/**
 * Compares a run with its recording.
 *
 * @param scenario what was run, with the kernel's answers
 * @param answers the server's, one for each step, not normalised; undefined where none came
 * @param allowed the differences that may be
 * @returns every differing answer, in the script's order
 */
export function compareAnswers(
  scenario: Scenario,
  answers: readonly (Answer | undefined)[],
  allowed: readonly AllowedDifference[],
): Difference[] {
  const normalised = normaliseAnswers(scenario, answers);
  return scenario.steps.flatMap(({ op, answer: expected }, index) => {
    const got = normalised[index];
    if (expected === undefined || isDeepStrictEqual(expected, got)) return [];
    const reason = got === undefined ? undefined : reasonFor(op, allowed);
    const difference = { scenario: scenario.name, step: index + 1, op, expected, got };
    return [reason === undefined ? difference : { ...difference, reason }];
  });
}

/**
 * Reads uevdrive's output: one JSON object a line with the script's line number.
 *
 * @param output what it printed, perhaps cut short
 * @param stepCount how many steps its script had
 */
export function parseDriverOutput(output: string, stepCount: number): (Answer | undefined)[] {
  const answers: (Answer | undefined)[] = Array.from({ length: stepCount }, () => undefined);
  for (const line of output.split('\n')) {
    if (!line.endsWith('}')) continue;
    const { line: number, answer } = JSON.parse(line) as { line: number; answer: Answer };
    answers[number - 1] = answer;
  }
  return answers;
}
