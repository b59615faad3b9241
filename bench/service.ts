/**
 * An HTTP service under load (examples/http-service): requests a second, and processor time a request, with its
 * tracepoints absent, off, and on.
 *
 * All variants run at once, each asked in turn while the others idle, in an order that changes from round to round;
 * the service has one processor and the load the other. Two processes of one program differ a little for as long as
 * they live, so each variant is started anew some times, and the untraced one runs twice: what that one differs from
 * itself by is the noise.
 */
import { inRepository } from '../tests/support/repository.ts';
import { Child } from '../tests/support/child.ts';
import { missing } from '../tests/support/requirements.ts';
import { type Measurement, quotients, type Results, skippedResults } from './measurement.ts';
import { processorNs } from './processor-time.ts';
import { SERVICE_MAIN, writeUntracedService } from './service/variants.ts';
import { TracingFolder } from './tracing-folder.ts';

const GENERATIONS = 5;
const ROUNDS = 6;
const WARM_ROUNDS = 3;
const ROUND_TIMEOUT_MS = 20_000;
const OFF_GOAL = 0.99;
const SERVICE_PROCESSOR = '0';
const LOAD_PROCESSOR = '1';

const VARIANTS = ['absent', 'absent again', 'off', 'on'] as const;
type Variant = (typeof VARIANTS)[number];

/** One round of one variant. */
interface Round {
  readonly requestsPerSecond: number;
  readonly processorUsPerRequest: number;
}

/** A running service. */
interface Service {
  readonly url: string;
  readonly process: Child;
}

async function startService(variant: Variant, untraced: string, folder: TracingFolder): Promise<Service> {
  const main = variant.startsWith('absent') ? untraced : SERVICE_MAIN;
  const child = new Child('taskset', ['-c', SERVICE_PROCESSOR, process.execPath, main], {
    env: { ...folder.env(variant === 'on'), PORT: '0' },
  });
  try {
    const url = (await child.line(/^listening at /)).replace('listening at ', '');
    return { url, process: child };
  } catch (error) {
    await child.kill();
    throw error;
  }
}

async function runRound(load: Child, service: Service): Promise<Round> {
  const before = processorNs(service.process.pid);
  load.say(service.url);
  const [requests = 0, seconds = 0] = (await load.line(/^/, ROUND_TIMEOUT_MS)).split(' ').map(Number);
  const took = processorNs(service.process.pid) - before;
  return { requestsPerSecond: requests / seconds, processorUsPerRequest: took / 1000 / requests };
}

/** Starts all variants, and asks them in turn. */
async function runGeneration(untraced: string, load: Child, rounds: Record<Variant, Round[]>): Promise<void> {
  await using folder = await TracingFolder.make();
  const services = new Map<Variant, Service>();
  try {
    for (const variant of VARIANTS) services.set(variant, await startService(variant, untraced, folder));
    for (let round = -WARM_ROUNDS; round < ROUNDS; round++) {
      const order = round % 2 === 0 ? VARIANTS : VARIANTS.toReversed();
      for (const variant of order) {
        const service = services.get(variant);
        if (service === undefined) continue;
        const result = await runRound(load, service);
        if (round >= 0) rounds[variant].push(result);
      }
    }
  } finally {
    for (const { process: child } of services.values()) await child.kill('SIGTERM');
  }
}

function measurementsOf(rounds: Record<Variant, Round[]>): Measurement[] {
  const speed = (variant: Variant): number[] => rounds[variant].map((round) => round.requestsPerSecond);
  const cost = (variant: Variant): number[] => rounds[variant].map((round) => round.processorUsPerRequest);
  return [
    ...VARIANTS.filter((variant) => variant !== 'absent again').flatMap((variant) => [
      { name: `service, tracepoints ${variant}`, unit: 'requests/s', samples: speed(variant) },
      { name: `processor time, tracepoints ${variant}`, unit: 'µs/request', samples: cost(variant) },
    ]),
    {
      name: 'throughput, off to absent',
      unit: '',
      samples: quotients(speed('off'), speed('absent')),
      goal: { is: 'at least', value: OFF_GOAL },
    },
    { name: 'throughput, on to absent', unit: '', samples: quotients(speed('on'), speed('absent')) },
    {
      name: 'throughput, absent to itself',
      unit: '',
      samples: quotients(speed('absent again'), speed('absent')),
      note: 'what two processes of the same program differ by',
    },
    { name: 'processor time, off to absent', unit: '', samples: quotients(cost('off'), cost('absent')) },
    { name: 'processor time, on to absent', unit: '', samples: quotients(cost('on'), cost('absent')) },
  ];
}

/** Some minutes. */
export async function measureService(): Promise<Results> {
  const lacking = missing('two-processors');
  if (lacking !== undefined) return skippedResults('service', lacking);
  const untraced = writeUntracedService();
  const rounds: Record<Variant, Round[]> = { absent: [], 'absent again': [], off: [], on: [] };
  const main = inRepository('build', 'tools', 'bench', 'service', 'load-main.js');
  const load = new Child('taskset', ['-c', LOAD_PROCESSOR, process.execPath, main]);
  try {
    for (let generation = 0; generation < GENERATIONS; generation++)
      await runGeneration(untraced, load, rounds);
  } finally {
    await load.kill();
  }
  return { measurements: measurementsOf(rounds), skipped: [] };
}
