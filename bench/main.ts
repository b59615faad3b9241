/**
 * `npm run bench`: what usertrace costs, measured side by side with others in one run.
 *
 *   npm run bench -- [PART]... [--only SUBJECT] [--seconds N] [--json FILE]
 *
 * Prints a table with the goals of the project and whether this machine met them just now. A missed goal is no
 * failure of the run: exit 1 means that something could not be measured, 77 that this machine can measure nothing.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { inRepository } from '../tests/support/repository.ts';
import { missing } from '../tests/support/requirements.ts';
import { measureEnabling } from './enabling.ts';
import { measureMemory, measureStartup } from './footprint.ts';
import { measureLookups } from './lookups.ts';
import {
  joinedResults,
  type Measurement,
  type Results,
  skippedResults,
  tableLines,
  toJson,
} from './measurement.ts';
import { measureProbes } from './probes.ts';
import { measureRecording } from './recording.ts';
import { measureService } from './service.ts';
import { measureThroughput } from './throughput.ts';
import { measureTracepoints } from './tracepoints.ts';
import { measureWatch } from './watch.ts';

const EXIT_USAGE = 2;
const EXIT_SKIPPED = 77;
const RECORDING_SECONDS = 60;

const USAGE = `npm run bench -- [PART]... [options]

Parts; all of them when none is named:
  server       usertrace serve: startup, memory, switching events, events through write(2)
  tracepoints  an event, off and on, beside LTTng-UST, pino, OpenTelemetry, trace_events and trace_marker
  recording    a process at full speed and usertrace record, a processor each
  service      an HTTP server under load: tracepoints absent, off and on
  watch        programs under usertrace watch and under strace
  probes       a hit by jump and by breakpoint, beside the kernel's uprobes and frida-gum
  lookups      finding a hit's probe from one thread and from two, beside a locked table

Options:
  --only SUBJECT  of the server part: startup, memory, enabling or throughput
  --seconds N     how long recording takes (default: ${RECORDING_SECONDS})
  --json FILE     where the results go as JSON (default: build/bench.json)
  --help`;

const SERVER_SUBJECTS: Record<string, () => Promise<Measurement[]>> = {
  startup: measureStartup,
  memory: measureMemory,
  enabling: measureEnabling,
  throughput: measureThroughput,
};

/** What was asked for. */
interface Request {
  readonly parts: readonly string[];
  readonly only: string | undefined;
  readonly seconds: number;
  readonly json: string;
}

async function measureServer({ only }: Request): Promise<Results> {
  const lacking = missing('root', 'fuse', 'cc');
  if (lacking !== undefined) return skippedResults('server', lacking);
  const measurements: Measurement[] = [];
  for (const [name, measure] of Object.entries(SERVER_SUBJECTS)) {
    if ((only ?? name) !== name) continue;
    console.error(`bench: server: ${name} ...`);
    measurements.push(...(await measure()));
  }
  return { measurements, skipped: [] };
}

const PARTS: Record<string, (request: Request) => Promise<Results>> = {
  server: measureServer,
  tracepoints: measureTracepoints,
  recording: ({ seconds }) => measureRecording(seconds),
  service: measureService,
  watch: measureWatch,
  probes: measureProbes,
  lookups: measureLookups,
};

/** @returns what the arguments ask for, or what is wrong with them */
function parseRequest(): Request | string {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      help: { type: 'boolean' },
      json: { type: 'string', default: inRepository('build', 'bench.json') },
      only: { type: 'string' },
      seconds: { type: 'string', default: String(RECORDING_SECONDS) },
    },
  });
  if (values.help === true) return USAGE;
  const seconds = Number(values.seconds);
  if (!(seconds >= 1)) return 'bench: --seconds takes a number from 1 on';
  if (values.only !== undefined && !(values.only in SERVER_SUBJECTS))
    return `bench: --only takes ${Object.keys(SERVER_SUBJECTS).join(', ')}`;
  const named = values.only === undefined || positionals.length > 0 ? positionals : ['server'];
  const unknown = named.find((part) => !(part in PARTS));
  if (unknown !== undefined)
    return `bench: there is no part "${unknown}"; there are ${Object.keys(PARTS).join(', ')}`;
  const parts = Object.keys(PARTS).filter((part) => named.length === 0 || named.includes(part));
  return { parts, only: values.only, seconds, json: values.json };
}

async function main(): Promise<number> {
  const request = parseRequest();
  if (typeof request === 'string') {
    console.log(request);
    return request === USAGE ? 0 : EXIT_USAGE;
  }
  const load = Number(readFileSync('/proc/loadavg', 'utf8').split(' ')[0]);
  const found: Results[] = [];
  for (const part of request.parts) {
    console.error(`bench: ${part} ...`);
    found.push((await PARTS[part]?.(request)) ?? { measurements: [], skipped: [] });
  }
  const results = joinedResults(found);
  const machine = {
    node: process.version,
    kernel: release(),
    processors: cpus().length,
    model: cpus()[0]?.model ?? 'unknown',
    load,
  };
  console.log(
    Object.entries(machine)
      .map(([name, value]) => `${name} ${value}`)
      .join(', '),
  );
  console.log(tableLines(results.measurements).join('\n'));
  for (const { name, note } of results.measurements) if (note !== undefined) console.log(`${name}: ${note}`);
  for (const { name, reason } of results.skipped) console.log(`skipped: ${name}: ${reason}`);
  mkdirSync(path.dirname(path.resolve(request.json)), { recursive: true });
  writeFileSync(request.json, toJson(results, machine));
  return results.measurements.length === 0 ? EXIT_SKIPPED : 0;
}

process.exitCode = await main();
