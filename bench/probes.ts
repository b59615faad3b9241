/**
 * What a hit of a probe costs the program: unprobed, ours by jump and by breakpoint, the kernel's uprobe and uretprobe, and frida-gum
 * where it is, in one run.
 *
 * All take turns in each round, so that what else the machine does hits all alike; the cost of a hit is what a call takes more than an
 * unprobed one of the same round, and quotients are of one round too. Calls come in bursts, and hits are read in between:
 * what is measured is what the program pays, and no hit may be missed.
 */
import { missing } from '../tests/support/requirements.ts';
import { type Measurement, quotients, type Results, type Skipped, skippedResults } from './measurement.ts';
import { functionNamed, OurProbes, type Probe, runUnderKernel } from './probes/contenders.ts';
import { FRIDA_MISSING, FridaProbes } from './probes/frida.ts';
import { Target, type Round } from './probes/target.ts';

const ROUNDS = 7;
const THREADS = [1, 2] as const;
const JUMP_GOAL_NS = 100;
const KERNEL_GOAL = 50;

const ENTRY_WORDS = ['', 'a=%di', 'a=%di b=%si', 'a=%di b=%si c=%dx', 'a=%di b=%si c=%dx d=%cx'] as const;
const TEXT_WORDS = 's=+0(%r8):string';
const TITLES: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    ENTRY_WORDS.map((words, count) => [words, `${count} argument${count === 1 ? '' : 's'}`]),
  ),
  [TEXT_WORDS]: 'a text of 21 characters',
  'v=$retval': 'the value',
};

/** Calls of a burst: the hits of two threads fit into one lane, that of texts too. */
const FAST = { call: 'probed_long', calls: 1_900, bursts: 21 } as const;
const TRAPS = { call: 'probed_long', calls: 1_000, bursts: 5 } as const;
const STOPS = { call: 'probed_short', calls: 60, bursts: 5 } as const;

type Who = 'unprobed' | 'jump' | 'breakpoint' | 'kernel' | 'frida';

/** Those that are here: each answers nanoseconds of a call. */
type Runners = ReadonlyMap<Who, (probe: Probe, round: Round) => Promise<number>>;

/** One line of the table. */
interface Contender {
  readonly who: Who;
  readonly probe: Probe;
  readonly round: Omit<Round, 'threads'>;
}

const ENTRIES = [...ENTRY_WORDS, TEXT_WORDS].map((words): Probe => ({ kind: 'p', words }));
const RETURNS = ['', 'v=$retval'].map((words): Probe => ({ kind: 'r', words }));
const FEW = [ENTRY_WORDS[0], ENTRY_WORDS[4], TEXT_WORDS].map((words): Probe => ({ kind: 'p', words }));

const CONTENDERS: readonly Contender[] = [
  { who: 'unprobed', probe: { kind: 'p', words: '' }, round: FAST },
  { who: 'frida', probe: { kind: 'p', words: ENTRY_WORDS[4] }, round: FAST },
  ...[...ENTRIES, ...RETURNS].map((probe): Contender => ({ who: 'jump', probe, round: FAST })),
  ...[...FEW, ...RETURNS].map((probe): Contender => ({ who: 'breakpoint', probe, round: STOPS })),
  ...[...ENTRIES, ...RETURNS].map((probe): Contender => ({ who: 'kernel', probe, round: TRAPS })),
];

function keyOf({ who, probe: { kind, words } }: Contender): string {
  return who === 'unprobed' ? who : `${who} ${kind} ${words}`;
}

const WHAT: Readonly<Record<Who, string>> = {
  unprobed: '',
  jump: 'ours by jump',
  breakpoint: 'ours by breakpoint',
  kernel: "the kernel's",
  frida: "frida-gum's",
};

function titleOf({ who, probe: { kind, words } }: Contender): string {
  const what = WHAT[who];
  const title = kind === 'r' && words === '' ? 'no argument' : TITLES[words];
  return `${what}, ${kind === 'r' ? 'return, ' : ''}${title}`;
}

/** The samples of all rounds of one number of threads. */
async function rounds(
  threads: number,
  contenders: readonly Contender[],
  runners: Runners,
): Promise<Map<string, number[]>> {
  const samples = new Map<string, number[]>();
  for (let round = -1; round < ROUNDS; round++) {
    for (const contender of round % 2 === 0 ? contenders : contenders.toReversed()) {
      const { who, probe } = contender;
      const ns = await runners.get(who)?.(probe, { ...contender.round, threads });
      if (ns === undefined) continue;
      const key = keyOf(contender);
      // The first round warms up.
      if (round >= 0) samples.set(key, [...(samples.get(key) ?? []), ns]);
    }
  }
  return samples;
}

function measurementsOf(
  threads: number,
  contenders: readonly Contender[],
  samples: ReadonlyMap<string, number[]>,
): Measurement[] {
  const head = `${threads} thread${threads === 1 ? '' : 's'}`;
  const unprobed = samples.get('unprobed') ?? [];
  const costOf = (key: string): number[] =>
    (samples.get(key) ?? []).map((ns, round) => ns - (unprobed[round] ?? 0));
  const measurements: Measurement[] = [{ name: `${head}: a call, unprobed`, unit: 'ns', samples: unprobed }];
  for (const contender of contenders) {
    if (contender.who === 'unprobed') continue;
    const hasGoal = contender.who === 'jump' && contender.probe.words !== TEXT_WORDS;
    const name = `${head}: a hit, ${titleOf(contender)}`;
    const goal = { is: 'at most', value: JUMP_GOAL_NS } as const;
    measurements.push({ name, unit: 'ns', samples: costOf(keyOf(contender)), ...(hasGoal ? { goal } : {}) });
  }
  for (const contender of contenders) {
    const kernel = keyOf({ ...contender, who: 'kernel' });
    if (contender.who !== 'jump' || !samples.has(kernel)) continue;
    const hasGoal = contender.probe.words !== TEXT_WORDS;
    const goal = { is: 'at least', value: KERNEL_GOAL } as const;
    measurements.push({
      name: `${head}: the kernel's hit to ${titleOf(contender)}`,
      unit: 'x',
      samples: quotients(costOf(kernel), costOf(keyOf(contender))),
      ...(hasGoal ? { goal } : {}),
    });
  }
  return measurements;
}

/** About a minute. */
export async function measureProbes(): Promise<Results> {
  const lacking = missing('root', 'cc', 'two-processors');
  if (lacking !== undefined) return skippedResults('probes', lacking);
  const skipped: Skipped[] = [];
  await using target = await Target.start();
  await using ours = await OurProbes.start();
  await using frida = await FridaProbes.start();
  const runners = new Map<Who, (probe: Probe, round: Round) => Promise<number>>([
    ['unprobed', (_, round) => target.run(round)],
    ['jump', (probe, round) => ours.run(probe, round)],
    ['breakpoint', (probe, round) => ours.run(probe, round)],
  ]);
  const withoutKernel = missing('kernel-uprobes');
  if (withoutKernel === undefined)
    runners.set('kernel', (probe, round) => runUnderKernel(target, probe, round));
  else skipped.push({ name: WHAT.kernel, reason: withoutKernel });
  if (frida === undefined) skipped.push({ name: WHAT.frida, reason: FRIDA_MISSING });
  else runners.set('frida', (_, round) => frida.run(functionNamed(round.call).address, round));
  const contenders: Contender[] = [];
  for (const contender of CONTENDERS) {
    const { who, probe, round } = contender;
    const isOurs = who === 'jump' || who === 'breakpoint';
    const reason = isOurs ? await ours.whyNot(probe, round.call, who) : undefined;
    if (reason !== undefined) skipped.push({ name: titleOf(contender), reason });
    else if (runners.has(who)) contenders.push(contender);
  }
  const measurements: Measurement[] = [];
  for (const threads of THREADS)
    measurements.push(...measurementsOf(threads, contenders, await rounds(threads, contenders, runners)));
  return { measurements, skipped };
}
