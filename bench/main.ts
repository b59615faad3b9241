/**
 * `npm run bench`: what the server costs, measured side by side in one run.
 *
 *   npm run bench -- [--json FILE] [--only startup|memory|enabling|throughput]
 *
 * Prints a table with the goals of the project and whether this machine met them just now. A missed goal is no
 * failure of the run: exit 1 means that something could not be measured, 77 that this machine cannot.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { missing } from '../tests/support/requirements.ts';
import { measureEnabling } from './enabling.ts';
import { measureMemory, measureStartup } from './footprint.ts';
import { type Measurement, tableLines, toJson } from './measurement.ts';
import { measureThroughput } from './throughput.ts';

const EXIT_SKIPPED = 77;

const SUBJECTS: Record<string, () => Promise<Measurement[]>> = {
  startup: measureStartup,
  memory: measureMemory,
  enabling: measureEnabling,
  throughput: measureThroughput,
};

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { json: { type: 'string' }, only: { type: 'string' } } });
  const lacking = missing('root', 'fuse', 'cc');
  if (lacking !== undefined) {
    console.log(`bench: skipped: ${lacking}`);
    return EXIT_SKIPPED;
  }
  const subjects = Object.entries(SUBJECTS).filter(([name]) => (values.only ?? name) === name);
  if (subjects.length === 0) {
    console.error(`bench: --only takes ${Object.keys(SUBJECTS).join(', ')}`);
    return 2;
  }
  const measurements: Measurement[] = [];
  for (const [name, measure] of subjects) {
    console.error(`bench: ${name} ...`);
    measurements.push(...(await measure()));
  }

  const machine = {
    node: process.version,
    kernel: release(),
    processors: cpus().length,
    model: cpus()[0]?.model ?? 'unknown',
    load: Number(readFileSync('/proc/loadavg', 'utf8').split(' ')[0]),
  };
  console.log(
    Object.entries(machine)
      .map(([name, value]) => `${name} ${value}`)
      .join(', '),
  );
  console.log(tableLines(measurements).join('\n'));
  for (const { name, note } of measurements) if (note !== undefined) console.log(`${name}: ${note}`);
  if (values.json !== undefined) {
    mkdirSync(path.dirname(path.resolve(values.json)), { recursive: true });
    writeFileSync(values.json, toJson(measurements, machine));
  }
  return 0;
}

process.exitCode = await main();
