/**
 * `npm run fuzz`: seeded malformed input at every door of the server.
 *
 *   npm run fuzz -- [--seed N] [--runs N]
 *
 * Four targets get `runs` inputs each: FUSE requests and provider files (in this process), ioctls and writes of a real
 * program, and texts into the tree's files. The last two run while somebody switches every event on and off. Exits 1 when one
 * broke a rule; the seed that is printed repeats the run.
 */
import { parseArgs } from 'node:util';
import { cProgram } from '../support/c-programs.ts';
import { finish } from '../support/child.ts';
import { missing } from '../support/requirements.ts';
import { Server } from '../support/server.ts';
import { delay } from '../support/wait.ts';
import { fuzzProviders } from './providers.ts';
import { fuzzSession } from './session.ts';
import { fuzzTexts } from './texts.ts';

const DEFAULT_RUNS = 5_000;
const SEED_LIMIT = 0x7fff_ffff;
/** A call takes well under a millisecond; a hang is noticed by the targets themselves. */
const ABI_TIMEOUT_MS_PER_RUN = 5;
const SWITCH_EVERY_MS = 20;

/** Switches all events on and off until `stop` is aborted. A server that died is found by the one who fuzzes it. */
async function switchUntil(stop: AbortSignal, server: Server): Promise<void> {
  for (let value: '0' | '1' = '1'; !stop.aborted; value = value === '1' ? '0' : '1') {
    await server.enable('', value).catch(() => undefined);
    await delay(SWITCH_EVERY_MS);
  }
}

async function fuzzAbi(server: Server, seed: number, runs: number): Promise<void> {
  const stop = new AbortController();
  const switching = switchUntil(stop.signal, server);
  const program = cProgram('tests/programs/fuzz-abi.c');
  const timeoutMs = 20_000 + runs * ABI_TIMEOUT_MS_PER_RUN;
  const { status, signal, stdout, stderr } = await finish(program, [server.root, `${seed}`, `${runs}`], {
    timeoutMs,
  });
  stop.abort();
  await switching;
  if (status !== 0) throw new Error(`fuzz-abi ended with ${signal ?? status}: ${stderr}`);
  console.log(`  ${stdout.trim().replaceAll('\n', ', ')}`);
}

async function withServer(work: (server: Server) => Promise<void>): Promise<void> {
  const server = await Server.start();
  const before = server.footprint();
  try {
    await work(server);
  } catch (error) {
    console.error(server.process.stderr);
    await server.crash();
    await server.cleanUp();
    throw error;
  }
  const after = server.footprint();
  const ending = await server.stop();
  console.log(
    `  server: ${before.descriptors} -> ${after.descriptors} descriptors, ` +
      `${before.rssMiB.toFixed(0)} -> ${after.rssMiB.toFixed(0)} MiB`,
  );
  if (ending.status !== 0) throw new Error(`The server ended with ${ending.signal ?? ending.status}`);
}

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { seed: { type: 'string' }, runs: { type: 'string' } } });
  const seed = Number(values.seed ?? Math.floor(Math.random() * SEED_LIMIT));
  const runs = Number(values.runs ?? DEFAULT_RUNS);
  if (!Number.isInteger(seed) || !Number.isInteger(runs) || runs < 1) {
    console.error('fuzz: --seed and --runs take whole numbers');
    return 2;
  }
  console.log(`fuzz: --seed ${seed} --runs ${runs}`);

  const lacking = missing('root', 'fuse', 'cc');
  const targets: { name: string; lacking: string | undefined; run: () => void | Promise<void> }[] = [
    { name: 'FUSE requests', lacking: undefined, run: () => fuzzSession(seed, runs) },
    { name: 'provider files', lacking: undefined, run: () => fuzzProviders(seed, runs) },
    { name: 'ioctls and writes', lacking, run: () => withServer((server) => fuzzAbi(server, seed, runs)) },
    {
      name: 'texts into the tree',
      lacking,
      run: () =>
        withServer(async (server) => {
          const answers = await fuzzTexts(server, seed, runs);
          console.log(`  ${[...answers].map(([answer, count]) => `${answer} ${count}`).join(', ')}`);
        }),
    },
  ];
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const target of targets) {
    if (target.lacking !== undefined) {
      counts.skipped++;
      console.log(`${target.name}: skipped: ${target.lacking}`);
      continue;
    }
    try {
      const startedAt = performance.now();
      await target.run();
      counts.passed++;
      console.log(
        `${target.name}: ${runs} inputs in ${((performance.now() - startedAt) / 1000).toFixed(1)} s`,
      );
    } catch (error) {
      counts.failed++;
      console.error(`${target.name}:`, error);
    }
  }
  console.log(`fuzz: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
  return counts.failed === 0 ? 0 : 1;
}

process.exitCode = await main();
