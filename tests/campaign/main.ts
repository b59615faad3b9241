/**
 * `npm run campaign`: probes on the functions of real programs while they work, against the kernel's own uprobes.
 *
 *   npm run campaign -- [--returns] [--places N] [--seed N] [--only NAME]
 *
 * N places in all, a share of them in each workload; with --returns, returns of functions. Exits 1 when a program did something else or a count was wrong, 77 on a machine
 * without the kernel's uprobes.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { missing } from '../support/requirements.ts';
import { countsOf, type Finding, probe } from './campaign.ts';
import { workloads } from './workload.ts';

const DEFAULT_PLACES = 2_000;
const SEED_LIMIT = 0x7fff_ffff;
const EXIT_SKIPPED = 77;
/** Lines that are printed of a finding's differences. */
const DIFFERENCES_MAX = 20;

function print(finding: Finding): void {
  const {
    workload,
    places,
    uncounted,
    executed,
    undetermined,
    hits,
    misses,
    kinds,
    refusals,
    differences,
    seconds,
  } = finding;
  const verdicts = [...kinds].map(([verdict, count]) => `${verdict} ${count}`).join(', ');
  console.log(
    `${workload}: ${places} places, ${uncounted} of them not counted by the kernel, ${executed} executed, ${hits} hits (${misses} had no room), ${undetermined} not the same in two runs, ` +
      `${refusals.length} refused, ${differences.length} differences, ${seconds.toFixed(1)} s (--seed ${finding.seed})`,
  );
  console.log(`  ${verdicts}`);
  for (const [refusal, count] of countsOf(refusals.map(withoutAddresses)))
    console.log(`  ${count} x ${refusal}`);
  const { lines } = finding;
  console.log(
    `  ${lines.lines} lines of ${lines.events} events compared, ${lines.undetermined} events not the same in two runs`,
  );
  if (finding.refusedByKernel > 0)
    console.log(`  ${finding.refusedByKernel} were hit where the kernel allows no probe`);
  if (finding.leftOtherwise > 0)
    console.log(`  ${finding.leftOtherwise} did not return each time they were called`);
  for (const place of finding.harmful)
    console.log(`  left out, since the kernel's uprobe changes the program: ${place}`);
  for (const difference of differences.slice(0, DIFFERENCES_MAX)) console.log(`  DIFFERENT: ${difference}`);
}

function withoutAddresses(text: string): string {
  return text.replaceAll(/0x[0-9a-f]+/gu, '0x..');
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      returns: { type: 'boolean', default: false },
      places: { type: 'string' },
      seed: { type: 'string' },
      only: { type: 'string' },
    },
  });
  const places = Number(values.places ?? DEFAULT_PLACES);
  const seed = Number(values.seed ?? Math.floor(Math.random() * SEED_LIMIT));
  if (!Number.isInteger(seed) || !Number.isInteger(places) || places < 1) {
    console.error('campaign: --places and --seed take whole numbers');
    return 2;
  }
  const lacking = missing('root', 'cc', 'kernel-uprobes');
  if (lacking !== undefined) {
    console.log(`campaign: skipped: ${lacking}`);
    return EXIT_SKIPPED;
  }
  const folder = mkdtempSync(path.join(tmpdir(), 'usertrace-campaign-'));
  try {
    const chosen = workloads(folder).filter(({ name }) => values.only === undefined || name === values.only);
    const findings: Finding[] = [];
    for (const workload of chosen) {
      const share = Math.ceil(places / chosen.length);
      const finding = await probe(workload, values.returns ? 'r' : 'p', share, seed, folder);
      print(finding);
      findings.push(finding);
    }
    const sum = (of: (finding: Finding) => number): number =>
      findings.reduce((all, each) => all + of(each), 0);
    const wrong = sum(({ differences }) => differences.length);
    console.log(
      `campaign: ${sum((each) => each.places)} places, ${sum((each) => each.executed)} executed, ` +
        `${sum((each) => each.hits)} hits (${sum((each) => each.misses)} had no room), ${sum((each) => each.undetermined)} not the same in two runs, ${wrong} differences`,
    );
    const kinds = new Map<string, number>();
    for (const finding of findings)
      for (const [kind, count] of finding.kinds) kinds.set(kind, (kinds.get(kind) ?? 0) + count);
    console.log(`campaign: ${[...kinds].map(([kind, count]) => `${kind} ${count}`).join(', ')}`);
    return wrong === 0 ? 0 : 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

process.exitCode = await main();
