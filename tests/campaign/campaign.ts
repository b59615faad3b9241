/**
 * Probes on many functions of real files while a program works with them: what the program prints and how it ends must be as without,
 * and each place must be hit as often as the kernel's own uprobe there is.
 *
 * Programs are not wholly deterministic: what depends on addresses or time is called more or less often. So the kernel counts twice,
 * and more often where ours is another count; only places with the same count each time are compared.
 */
import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { Random } from '../fuzz/random.ts';
import { compareLines, type LinesFinding } from './lines.ts';
import { type Place, Places, type ProbeKind } from './places.ts';
import {
  isRefusedByKernel,
  type Observed,
  type Outcome,
  returnsUnderKernel,
  runAlone,
  runUnderKernel,
  runUnderOurs,
} from './run.ts';
import { privately, type Workload } from './workload.ts';

const RUN_TIMEOUT_MS = 120_000;
/** A breakpoint costs some 100 µs a hit. */
const BREAKPOINT_HITS_MAX = 1_000;
/** A jump's lanes are emptied by us, on the same processors. */
const JUMP_HITS_MAX = 10_000;
/** The kernel counts so often again where ours is another count. */
const FURTHER_RUNS = 5;
/** So many places are counted in one run, in so much time. */
const GROUP = 128;
const GROUP_TIMEOUT_MS = 4_000;
/** So many candidates are counted for each place that is probed in the end. */
const CANDIDATES = 5;
/** Three of four places that are probed are hit, where there are so many. */
const HIT_SHARE = 0.75;

/** What was found about one workload. */
export interface Finding {
  readonly workload: string;
  readonly seed: number;
  readonly places: number;
  /** Places where the kernel's uprobe cannot be asked: the program did the same with ours. */
  readonly uncounted: number;
  /** Places that were hit at all. */
  readonly executed: number;
  /** Places whose count differed between two runs under the kernel's uprobes. */
  readonly undetermined: number;
  /** Places that were hit, and where the kernel allows no probe. */
  readonly refusedByKernel: number;
  /** Functions of return probes that were left by longjmp, by an exception, or with the program: the kernel tells as many returns. */
  readonly leftOtherwise: number;
  /** Where the kernel's own uprobe changed what the program did: not among the places. */
  readonly harmful: readonly string[];
  readonly hits: number;
  /** Hits among these that found no room, and were counted. */
  readonly misses: number;
  /** What the places became: `jump`, or why not; where no process was seen with it, what the code lets one expect. */
  readonly kinds: ReadonlyMap<string, number>;
  readonly refusals: readonly string[];
  readonly lines: LinesFinding;
  /** What was not as it should be. */
  readonly differences: readonly string[];
  readonly seconds: number;
}

/**
 * Probes places of one workload's file.
 *
 * @param kind of the probes
 * @param count how many places
 * @param folder for the files of the run; what is in it is removed
 * @throws {Error} when the workload itself fails or does not end
 */
export async function probe(
  original: Workload,
  kind: ProbeKind,
  count: number,
  seed: number,
  folder: string,
): Promise<Finding> {
  const startedAt = performance.now();
  const own = path.join(folder, `run-${seed}`);
  mkdirSync(own, { recursive: true });
  try {
    const workload = privately(original, path.join(own, 'copy'));
    const alone = runAlone(workload, own, RUN_TIMEOUT_MS);
    const repeated = runAlone(workload, own, RUN_TIMEOUT_MS);
    if (alone === undefined || repeated === undefined)
      throw new Error(`Cannot run ${workload.name}: it does not end`);
    const differences = differencesOf('a second run', alone, repeated);
    const taken = new Places(kind, workload.file, new Random(seed)).take(count * CANDIDATES);
    const candidates = taken.filter(({ isForKernel }) => isForKernel);
    const uncounted = taken.filter(({ isForKernel, expected }) => !isForKernel && expected === 'jump');
    const { hits: counts, harmful } = countedByKernel(workload, alone, candidates, own);
    const places = choose(counts, count);
    const second = runUnderKernel(workload, places, own, RUN_TIMEOUT_MS);
    if (second === undefined)
      throw new Error(`Cannot count: ${workload.name} does not end under the kernel's uprobes`);
    const ours = await runUnderOurs(workload, [...places, ...uncounted], own, RUN_TIMEOUT_MS);
    differences.push(...differencesOf('the probed run', alone, ours));
    const doubtful: Place[] = [];
    let [undetermined, refusedByKernel, leftOtherwise] = [0, 0, 0];
    for (const [index, place] of places.entries()) {
      if (counts.get(place) !== second.hits[index]) undetermined++;
      else if (counts.get(place) !== seen(ours, index)) doubtful.push(place);
    }
    const changing = changingCounts(workload, doubtful, counts, own);
    const returning = doubtful.filter((place) => place.kind === 'r' && !changing.has(place));
    const returns =
      returning.length === 0 ? [] : returnsUnderKernel(workload, returning, own, RUN_TIMEOUT_MS);
    for (const place of doubtful) {
      const index = places.indexOf(place);
      const kernel = counts.get(place) ?? 0;
      if (changing.has(place)) undetermined++;
      else if (returns[returning.indexOf(place)] === seen(ours, index)) leftOtherwise++;
      else if (kernel === 0 && (await isRefusedByKernel(workload.file, place))) refusedByKernel++;
      else
        differences.push(
          `${place.name} at 0x${place.offset.toString(16)} (${ours.kinds.get(index)?.join(', ') ?? place.expected}): ` +
            `${seen(ours, index)} hits, the kernel's ${kernel}`,
        );
    }
    const lines = await compareLines(workload, counts, own, RUN_TIMEOUT_MS);
    differences.push(...lines.differences);
    return {
      workload: workload.name,
      seed,
      places: places.length + uncounted.length,
      uncounted: uncounted.length,
      executed: places.filter((place) => (counts.get(place) ?? 0) > 0).length,
      undetermined,
      refusedByKernel,
      leftOtherwise,
      harmful: harmful.map(({ name, offset }) => `${name} at 0x${offset.toString(16)}`),
      hits: sumOf(ours.hits) + sumOf(ours.misses),
      misses: sumOf(ours.misses),
      kinds: countsOf(
        [...places, ...uncounted].flatMap(({ expected }, index) => ours.kinds.get(index) ?? [expected]),
      ),
      refusals: ours.refusals,
      lines,
      differences,
      seconds: (performance.now() - startedAt) / 1000,
    };
  } finally {
    rmSync(own, { recursive: true, force: true });
  }
}

/** What the kernel's uprobes say of places. */
interface Count {
  /** How often each is hit. */
  readonly hits: Map<Place, number>;
  /** Where the kernel's uprobe makes the program do something else than without. */
  readonly harmful: Place[];
}

/** Counts; places that are hit so often that the program does not end in time are left out. */
function countedByKernel(
  workload: Workload,
  alone: Outcome,
  places: readonly Place[],
  folder: string,
): Count {
  const count: Count = { hits: new Map(), harmful: [] };
  const groups: (readonly Place[])[] = [];
  for (let from = 0; from < places.length; from += GROUP) groups.push(places.slice(from, from + GROUP));
  for (let group = groups.pop(); group !== undefined; group = groups.pop()) {
    const outcome = runUnderKernel(workload, group, folder, GROUP_TIMEOUT_MS);
    const isSame = outcome !== undefined && differencesOf('', alone, outcome).length === 0;
    const half = group.length >> 1;
    if (isSame) for (const [index, place] of group.entries()) count.hits.set(place, outcome.hits[index] ?? 0);
    else if (half > 0) groups.push(group.slice(0, half), group.slice(half));
    else if (outcome !== undefined) count.harmful.push(...group);
  }
  return count;
}

function choose(counts: ReadonlyMap<Place, number>, wanted: number): Place[] {
  const affordable = [...counts].filter(
    ([{ expected }, hits]) => hits <= (expected === 'jump' ? JUMP_HITS_MAX : BREAKPOINT_HITS_MAX),
  );
  const executed = affordable.filter(([, hits]) => hits > 0).slice(0, Math.ceil(wanted * HIT_SHARE));
  const others = affordable
    .filter((each) => !executed.includes(each))
    .toSorted((one, other) => one[1] - other[1]);
  return [...executed, ...others].slice(0, wanted).map(([place]) => place);
}

function differencesOf(what: string, wanted: Outcome, got: Outcome): string[] {
  return (['output', 'errors'] as const).flatMap((stream) => {
    if (wanted[stream] === got[stream]) return [];
    const [one, other] = [wanted[stream].split('\n'), got[stream].split('\n')];
    const line = one.findIndex((text, index) => text !== other[index]);
    return [
      `${stream} of ${what}, line ${line + 1}: ${JSON.stringify(other[line])}, not ${JSON.stringify(one[line])}`,
    ];
  });
}

/** Hits that were told of, and those that were lost and counted. */
function seen({ hits, misses }: Observed, index: number): number {
  return (hits[index] ?? 0) + (misses[index] ?? 0);
}

/** Those of some places whose count is another in some further runs. */
function changingCounts(
  workload: Workload,
  places: readonly Place[],
  counts: ReadonlyMap<Place, number>,
  folder: string,
): Set<Place> {
  const changing = new Set<Place>();
  for (let run = 0; run < FURTHER_RUNS && places.length > changing.size; run++) {
    const outcome = runUnderKernel(workload, places, folder, RUN_TIMEOUT_MS);
    for (const [index, place] of places.entries())
      if (outcome?.hits[index] !== counts.get(place)) changing.add(place);
  }
  return changing;
}

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0);
}

/** How often each word is there, the most frequent first. */
export function countsOf(words: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  return new Map([...counts].toSorted((one, other) => other[1] - one[1]));
}
