/**
 * What an event costs the program that emits it, off and on, beside other ways to say the same.
 *
 * Each contender is a process of its own, one after another, and all of them several times over, so that what else the
 * machine does hits all alike. The programs are in tracepoints/.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { inRepository } from '../tests/support/repository.ts';
import { Child } from '../tests/support/child.ts';
import { missing } from '../tests/support/requirements.ts';
import {
  type Measurement,
  quotients,
  type Results,
  type Skipped,
  skippedResults,
  spreadOf,
} from './measurement.ts';
import { type Payload, PAYLOAD_TITLES } from './tracepoints/contender.ts';
import { LttngSession } from './tracepoints/lttng.ts';
import { lackingForTraceMarker } from './tracepoints/trace-marker.ts';
import { TracingFolder } from './tracing-folder.ts';

const PASSES = 5;
const PROCESS_TIMEOUT_MS = 60_000;
const PAYLOADS: readonly Payload[] = ['text', 'numbers'];

const OFF_GOAL_NS = 0.5;
const LTTNG_GOAL = 0.8;
/** A byte for each hundred events: what memoryUsage() cannot tell from none. */
const ALLOCATION_GOAL = 0.01;
const THREAD_GOAL = 0.9;

/** So large a young generation that a hundred thousand events of any contender fit. */
const ALLOCATION_FLAGS = ['--expose-gc', '--min-semi-space-size=512', '--max-semi-space-size=512'];

/** How a contender is started, and what it needs. */
interface Entry {
  readonly title: string;
  /** Of tracepoints/. */
  readonly module: string;
  readonly flags?: readonly string[];
  readonly lacking?: () => string | undefined;
}

const OURS: Entry = { title: 'usertrace', module: 'usertrace' };
const ENTRIES: readonly Entry[] = [
  OURS,
  { title: 'pino to /dev/null', module: 'pino' },
  { title: 'OpenTelemetry span', module: 'opentelemetry' },
  {
    title: 'node:trace_events',
    module: 'trace-events',
    flags: ['--trace-event-categories', 'node.console'],
  },
  { title: 'kernel trace_marker', module: 'trace-marker', lacking: lackingForTraceMarker },
];
const LTTNG = 'LTTng-UST from C';

/** Samples by contender and payload. */
class Samples {
  readonly #byKey = new Map<string, number[]>();

  /** Those of one contender, to be added to. */
  of(title: string, payload: Payload): number[] {
    const key = `${title} ${payload}`;
    const samples = this.#byKey.get(key) ?? [];
    this.#byKey.set(key, samples);
    return samples;
  }
}

/**
 * Runs a program of tracepoints/.
 *
 * @param options the flags of node, and whether its tracepoints are on
 * @returns what it printed, which is JSON
 */
async function runProgram(
  program: string,
  args: readonly string[],
  options: { flags?: readonly string[]; isOn?: boolean } = {},
): Promise<unknown> {
  await using folder = await TracingFolder.make();
  // Node's trace file goes there.
  const cwd = await mkdtemp(path.join(tmpdir(), 'usertrace-bench-'));
  const main = inRepository('build', 'tools', 'bench', 'tracepoints', `${program}.js`);
  const child = new Child(process.execPath, [...(options.flags ?? []), main, ...args], {
    cwd,
    env: folder.env(options.isOn === true),
  });
  try {
    return JSON.parse(await child.line(/^[[{]/, PROCESS_TIMEOUT_MS));
  } finally {
    await child.kill(); // it has ended, or it hangs
    await rm(cwd, { recursive: true });
  }
}

function measureEntry(entry: Entry, payload: Payload, what: 'time' | 'allocation'): Promise<unknown> {
  return runProgram('contender-main', [entry.module, payload, what], {
    flags: [...(entry.flags ?? []), ...(what === 'allocation' ? ALLOCATION_FLAGS : [])],
    isOn: entry === OURS,
  });
}

async function measureDisabled(): Promise<Measurement[]> {
  const samples = (await runProgram('disabled-main', [])) as Record<string, number[]>;
  const empty = samples['empty loop'] ?? [];
  return Object.entries(samples).flatMap(([name, ns]): Measurement[] => {
    const measured: Measurement = { name, unit: 'ns', samples: ns };
    if (!name.startsWith('disabled')) return [measured];
    const over = ns.map((each, round) => each - (empty[round] ?? Number.NaN));
    const goal = { is: 'at most', value: OFF_GOAL_NS } as const;
    return [measured, { name: `${name}, over the empty loop`, unit: 'ns', samples: over, goal }];
  });
}

/** Times all that is there, pass by pass; the share of LTTng's time is that of the medians of one pass. */
async function measureEnabled(
  entries: readonly Entry[],
  lttng: LttngSession | undefined,
): Promise<Measurement[]> {
  const times = new Samples();
  const medians = new Samples();
  for (let pass = 0; pass < PASSES; pass++)
    for (const payload of PAYLOADS) {
      const add = (title: string, ns: readonly number[]): void => {
        times.of(title, payload).push(...ns);
        medians.of(title, payload).push(spreadOf(ns).median);
      };
      for (const entry of entries) {
        add(entry.title, (await measureEntry(entry, payload, 'time')) as number[]);
        // Next to each other, because this is what is compared.
        if (entry === OURS && lttng !== undefined) add(LTTNG, await lttng.roundNs(payload));
      }
    }
  return PAYLOADS.flatMap((payload) => {
    const titles = entries.map(({ title }) => title);
    if (lttng !== undefined) titles.splice(1, 0, LTTNG);
    const measured: Measurement[] = titles.map((title) => ({
      name: `${PAYLOAD_TITLES[payload]}: ${title}`,
      unit: 'ns/event',
      samples: times.of(title, payload),
    }));
    if (lttng === undefined) return measured;
    const share: Measurement = {
      name: `${PAYLOAD_TITLES[payload]}: usertrace to LTTng-UST`,
      unit: '',
      samples: quotients(medians.of(OURS.title, payload), medians.of(LTTNG, payload)),
      goal: { is: 'at most', value: LTTNG_GOAL },
    };
    return [...measured, share];
  });
}

async function measureAllocation(entries: readonly Entry[]): Promise<Measurement[]> {
  const measurements: Measurement[] = [];
  for (const payload of PAYLOADS)
    for (const entry of entries) {
      const name = `${PAYLOAD_TITLES[payload]}: ${entry.title}, allocated`;
      const samples = (await measureEntry(entry, payload, 'allocation')) as number[];
      const goal = { is: 'at most', value: ALLOCATION_GOAL } as const;
      measurements.push({ name, unit: 'bytes/event', samples, ...(entry === OURS ? { goal } : {}) });
    }
  return measurements;
}

async function measureThreads(): Promise<Results> {
  const lacking = missing('two-processors');
  if (lacking !== undefined) return skippedResults('two threads', lacking);
  const shares = (await runProgram('threads-main', [], { isOn: true })) as Record<
    'events' | 'sums',
    number[]
  >;
  return {
    measurements: [
      {
        name: "two threads emitting: each one's share of its lone speed",
        unit: '',
        samples: shares.events,
        goal: { is: 'at least', value: THREAD_GOAL },
      },
      {
        name: 'two threads adding up: the same',
        unit: '',
        samples: shares.sums,
        note: 'what the machine itself takes from two threads at once',
      },
    ],
    skipped: [],
  };
}

/** Some minutes. */
export async function measureTracepoints(): Promise<Results> {
  const skipped: Skipped[] = [];
  const entries = ENTRIES.filter(({ title, lacking }) => {
    const reason = lacking?.();
    if (reason !== undefined) skipped.push({ name: title, reason });
    return reason === undefined;
  });
  const measurements = await measureDisabled();
  const lttng = await LttngSession.start();
  if (typeof lttng === 'string') skipped.push({ name: LTTNG, reason: lttng });
  try {
    measurements.push(...(await measureEnabled(entries, typeof lttng === 'string' ? undefined : lttng)));
  } finally {
    if (typeof lttng !== 'string') await lttng.stop();
  }
  measurements.push(...(await measureAllocation(entries)));
  const threads = await measureThreads();
  return {
    measurements: [...measurements, ...threads.measurements],
    skipped: [...skipped, ...threads.skipped],
  };
}
