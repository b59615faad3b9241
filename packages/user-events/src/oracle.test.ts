/**
 * What the real kernel answered (tests/oracle), asked of the domain alone: no FUSE, processes and memory are
 * simulated.
 */

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { OracleWorld } from './oracle-world.sim.ts';

interface Step {
  readonly op: string;
  readonly answer?: Record<string, unknown>;
}

interface Scenario {
  readonly name: string;
  readonly steps: readonly Step[];
}

const VECTORS = new URL('../../../tests/oracle/vectors.jsonl', import.meta.url);
const scenarios = readFileSync(VECTORS, 'utf8')
  .trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line) as Scenario);

describe('UserEvents answers what the kernel answered', () => {
  it.each(scenarios)('$name', ({ steps }) => {
    const world = new OracleWorld();
    const answers = steps.map(({ op }): Step => {
      const answer = world.run(op);
      return answer === undefined ? { op } : { op, answer };
    });
    const hasPlainDotted = steps.some(({ op }) => op.includes(' ev.1'));
    expect(normalised(answers, !hasPlainDotted)).toEqual(steps);
  });
});

/** The normalisations that the recordings had; tests/oracle/README.md has them in words. */
function normalised(steps: readonly Step[], hasFormats: boolean): readonly Step[] {
  const ids = hasFormats ? steps.flatMap(formattedNames).map(formatId) : [];
  const ranks = [...new Set(ids)].toSorted((a, b) => a - b);
  const withRank = (name: string): string =>
    name.replace(
      FORMATTED,
      (_, base, id, rest) => `${base}.@${ranks.indexOf(Number.parseInt(id, 16))}${rest}`,
    );
  return steps.map((step) => {
    const { op, answer } = step;
    if (isStatus(op)) {
      const lines = String(answer?.['text']).split('\n');
      const empty = lines.indexOf('');
      const counts = lines.findIndex((line) => line.startsWith('Active: '));
      const names = lines.slice(0, counts).map((line) => (ranks.length === 0 ? line : withRank(line)));
      const sorted = names.slice(0, empty).toSorted();
      const rest = [...names.slice(empty), ...lines.slice(counts)];
      return { op, answer: { text: `${sorted.join('\n')}\n${rest.join('\n')}` } };
    }
    if (!isFormatListing(op) || answer?.['names'] === undefined) return step;
    return { op, answer: { names: (answer['names'] as string[]).map((name) => withRank(name)).toSorted() } };
  });
}

/** A multi-format event's name in a listing or a status line. */
const FORMATTED = /^(.*)\.([0-9a-f]+)((?: #.*)?)$/;

const isStatus = (op: string): boolean => op.endsWith(' cat user_events_status');
const isFormatListing = (op: string): boolean => op.endsWith(' ls events/user_events_multi');
const formatId = (name: string): number => Number.parseInt(FORMATTED.exec(name)?.[2] ?? '', 16);

/** The multi-format names in a listing of them, or in a status text. */
function formattedNames({ op, answer }: Step): string[] {
  const names = isFormatListing(op) ? ((answer?.['names'] ?? []) as string[]) : [];
  const lines = isStatus(op) ? String(answer?.['text']).split('\n') : [];
  return [...names, ...lines].filter((name) => FORMATTED.test(name));
}
