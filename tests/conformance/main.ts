/**
 * `npm run conformance`: every scenario of tests/oracle/vectors.jsonl against a server of its own, each answer
 * compared with the kernel's.
 *
 *   npm run conformance -- [--filter REGEXP] [--json FILE]
 *
 * Exits 1 when an answer differs that tests/oracle/differences.json does not list, and 77 when this machine cannot
 * run it at all.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { cProgram } from '../support/c-programs.ts';
import { inRepository } from '../support/repository.ts';
import { missing } from '../support/requirements.ts';
import { failureLines, hasPassed, type Outcome, tableLines, tallyByKind } from './report.ts';
import { runScenario } from './run-scenario.ts';
import { type AllowedDifference, readAllowedDifferences, readScenarios, type Scenario } from './scenario.ts';

/** More would slow the servers down until their deadlines show in the answers. */
const PARALLEL_SERVERS = 2;
const EXIT_SKIPPED = 77;

async function runAll(scenarios: readonly Scenario[], allowed: AllowedDifference[]): Promise<Outcome[]> {
  const driver = cProgram('tests/oracle/uevdrive.c');
  const outcomes: Outcome[] = [];
  const remaining = scenarios.values();
  const runRemaining = async (): Promise<void> => {
    for (const scenario of remaining) {
      const outcome = await runScenario(driver, scenario, allowed);
      outcomes.push(outcome);
      for (const line of failureLines(outcome)) console.log(line);
    }
  };
  await Promise.all(Array.from({ length: PARALLEL_SERVERS }, runRemaining));
  return outcomes;
}

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { filter: { type: 'string' }, json: { type: 'string' } } });
  const lacking = missing('root', 'fuse', 'cc');
  if (lacking !== undefined) {
    console.log(`conformance: skipped: ${lacking}`);
    return EXIT_SKIPPED;
  }
  const allowed = readAllowedDifferences(inRepository('tests', 'oracle', 'differences.json'));
  const filter = new RegExp(values.filter ?? '');
  const scenarios = readScenarios(inRepository('tests', 'oracle', 'vectors.jsonl')).filter(({ name }) =>
    filter.test(name),
  );

  const startedAt = performance.now();
  const outcomes = await runAll(scenarios, allowed);
  const tallies = tallyByKind(outcomes);
  const durationS = (performance.now() - startedAt) / 1000;

  console.log(`\n${tableLines(tallies).join('\n')}\n`);
  for (const { op, reason } of allowed) console.log(`allowed: ${op}: ${reason}`);
  const failed = outcomes.filter((outcome) => !hasPassed(outcome)).length;
  console.log(
    `conformance: ${outcomes.length - failed} passed, ${failed} failed, 0 skipped in ${durationS.toFixed(0)} s`,
  );
  if (values.json !== undefined) {
    mkdirSync(path.dirname(path.resolve(values.json)), { recursive: true });
    const differences = outcomes.flatMap((outcome) => outcome.differences);
    writeFileSync(values.json, `${JSON.stringify({ durationS, tallies, differences }, undefined, 2)}\n`);
  }
  return failed === 0 && outcomes.length > 0 ? 0 : 1;
}

process.exitCode = await main();
