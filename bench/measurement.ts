/**
 * Measurements and how they are shown: a table for people, JSON for machines.
 */

/** A number that has to be on one side of another. */
export interface Goal {
  readonly is: 'at least' | 'below';
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

/** Whether the median meets the goal; undefined without one. */
export function verdict({ samples, goal }: Measurement): 'met' | 'MISSED' | undefined {
  if (goal === undefined) return undefined;
  const { median } = spreadOf(samples);
  const isMet = goal.is === 'below' ? median < goal.value : median >= goal.value;
  return isMet ? 'met' : 'MISSED';
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
export function toJson(
  measurements: readonly Measurement[],
  machine: Record<string, string | number>,
): string {
  const results = measurements.map((measurement) => ({
    ...measurement,
    ...spreadOf(measurement.samples),
    verdict: verdict(measurement) ?? null,
  }));
  return `${JSON.stringify({ machine, results }, undefined, 2)}\n`;
}
