/**
 * Measurements and how they are shown: a table for people, JSON for machines.
 */

/** A number that has to be on one side of another. */
export interface Goal {
  readonly is: 'at least' | 'at most' | 'below';
  readonly value: number;
}

/** What was measured, with one sample for each repetition. */
export interface Measurement {
  readonly name: string;
  readonly unit: string;
  /** At least one. */
  readonly samples: readonly number[];
  /** Its median has to meet it. */
  readonly goal?: Goal;
  /** What a reader must know to compare it. */
  readonly note?: string;
}

/** What this machine could not measure, and what it lacks. */
export interface Skipped {
  readonly name: string;
  /** A sentence such as `needs a C compiler (apt: gcc libc6-dev)`. */
  readonly reason: string;
}

/** What a part of the benchmark found. */
export interface Results {
  readonly measurements: readonly Measurement[];
  readonly skipped: readonly Skipped[];
}

/** The results of what could not be measured at all. */
export function skippedResults(name: string, reason: string): Results {
  return { measurements: [], skipped: [{ name, reason }] };
}

/** The results of several parts, in their order. */
export function joinedResults(results: readonly Results[]): Results {
  return {
    measurements: results.flatMap(({ measurements }) => measurements),
    skipped: results.flatMap(({ skipped }) => skipped),
  };
}

/** The quotient of samples that were taken in turn, one by one. */
export function quotients(dividends: readonly number[], divisors: readonly number[]): number[] {
  return dividends.map((dividend, index) => dividend / (divisors[index] ?? Number.NaN));
}

/** Smallest, middle and largest of some samples. */
export interface Spread {
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

/** The spread of at least one sample. */
export function spreadOf(samples: readonly number[]): Spread {
  const sorted = samples.toSorted((a, b) => a - b);
  const at = (index: number): number => sorted[index] ?? Number.NaN;
  const middle = (sorted.length - 1) / 2;
  const median = (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2;
  return { min: at(0), median, max: at(sorted.length - 1) };
}

const IS_MET: Record<Goal['is'], (median: number, value: number) => boolean> = {
  'at least': (median, value) => median >= value,
  'at most': (median, value) => median <= value,
  below: (median, value) => median < value,
};

/** Whether the median meets the goal; undefined without one. */
export function verdict({ samples, goal }: Measurement): 'met' | 'MISSED' | undefined {
  if (goal === undefined) return undefined;
  const { median } = spreadOf(samples);
  return IS_MET[goal.is](median, goal.value) ? 'met' : 'MISSED';
}

function digits(value: number): string {
  return value.toFixed(value >= 1000 ? 0 : value >= 10 ? 1 : 2);
}

const TITLES = ['measurement', 'min', 'median', 'max', 'unit', 'goal', 'verdict'];
const NUMBER_COLUMNS = new Set([1, 2, 3]);

/** The table of all measurements, a line each. */
export function tableLines(measurements: readonly Measurement[]): string[] {
  const rows = measurements.map((measurement) => {
    const { min, median, max } = spreadOf(measurement.samples);
    const { goal } = measurement;
    return [
      measurement.name,
      digits(min),
      digits(median),
      digits(max),
      measurement.unit,
      goal === undefined ? '' : `${goal.is} ${goal.value}`,
      verdict(measurement) ?? '',
    ];
  });
  const all = [TITLES, ...rows];
  const widths = TITLES.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  return all.map((row) =>
    row
      .map((cell, column) =>
        NUMBER_COLUMNS.has(column) ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd(),
  );
}

/** What a result file holds. */
export function toJson({ measurements, skipped }: Results, machine: Record<string, string | number>): string {
  const results = measurements.map((measurement) => ({
    ...measurement,
    ...spreadOf(measurement.samples),
    verdict: verdict(measurement) ?? null,
  }));
  return `${JSON.stringify({ machine, results, skipped }, undefined, 2)}\n`;
}
