/**
 * `npm run endurance`: probes come and go under busy threads, and tracers are killed, thousands of times.
 *
 *   npm run endurance -- changes|kills [--count N] [--kind NAME] [--seconds N] [--seed N]
 *
 * N times for each kind of probe, or until the seconds are over. Exits 1 when a program was harmed, 77 on a machine that lacks
 * something.
 */
import { parseArgs } from 'node:util';
import { missing } from '../support/requirements.ts';
import { changeProbe } from './changes.ts';
import { killTracers } from './kills.ts';
import { KINDS } from './kinds.ts';

const DEFAULT_CHANGES = 10_000;
const DEFAULT_KILLS = 500;
const SEED_LIMIT = 0x7fff_ffff;
const EXIT_SKIPPED = 77;
const PROGRESS_MS = 10_000;

/** Says how far it is, now and then. */
function progress(what: string, deadlineMs: number): (done: number) => boolean {
  let saidAtMs = performance.now();
  return (done) => {
    const now = performance.now();
    if (now - saidAtMs > PROGRESS_MS) {
      console.log(`  ${what}: ${done}`);
      saidAtMs = now;
    }
    return now < deadlineMs;
  };
}

async function runKind(
  part: string,
  kind: string,
  count: number,
  seconds: number,
  seed: number,
): Promise<void> {
  const startedAtMs = performance.now();
  const mayGoOn = progress(`${part} ${kind}`, startedAtMs + seconds * 1000);
  const passed = (): string => `${((performance.now() - startedAtMs) / 1000).toFixed(1)} s`;
  if (part === 'kills') {
    const { kills, probed, calls } = await killTracers([kind], count, seed, mayGoOn);
    console.log(
      `kills ${kind}: ${kills} tracers killed, ${probed} with their probe there, ${calls} right answers, ${passed()} (--seed ${seed})`,
    );
    return;
  }
  const { changes, hits, became, calls } = await changeProbe(kind, count, mayGoOn);
  const states = [...became].map(([state, times]) => `${state} ${times}`).join(', ');
  console.log(
    `changes ${kind}: ${changes} times there and gone (${states}), ${hits} hits, ${calls} right answers, ${passed()}`,
  );
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      count: { type: 'string' },
      kind: { type: 'string' },
      seconds: { type: 'string' },
      seed: { type: 'string' },
    },
  });
  const [part = ''] = positionals;
  const count = Number(values.count ?? (part === 'kills' ? DEFAULT_KILLS : DEFAULT_CHANGES));
  const seconds = Number(values.seconds ?? Number.POSITIVE_INFINITY);
  const seed = Number(values.seed ?? Math.floor(Math.random() * SEED_LIMIT));
  if (
    !['changes', 'kills'].includes(part) ||
    !Number.isInteger(count) ||
    !(seconds > 0) ||
    !Number.isInteger(seed)
  ) {
    console.error('endurance: changes|kills [--count N] [--kind NAME] [--seconds N] [--seed N]');
    return 2;
  }
  const lacking = missing('root', 'cc');
  if (lacking !== undefined) {
    console.log(`endurance: skipped: ${lacking}`);
    return EXIT_SKIPPED;
  }
  const kinds = values.kind === undefined ? Object.keys(KINDS) : [values.kind];
  for (const kind of kinds) await runKind(part, kind, count, seconds, seed);
  return 0;
}

process.exitCode = await main();
