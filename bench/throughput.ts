/**
 * Events a second through write(2): the same writer program against `usertrace serve` with its event enabled, and
 * against a C server that only answers FUSE requests (bare-fuse.c).
 *
 * Both servers live through the whole measurement and are used in turn, so that what else the machine does hits both.
 */
import { mkdtemp, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { cProgram } from '../tests/support/c-programs.ts';
import { Child, finish } from '../tests/support/child.ts';
import { Server } from '../tests/support/server.ts';
import type { Measurement } from './measurement.ts';

const REPETITIONS = 7;
const WARM_UP_MS = 500;
const WRITING_MS = 1_000;
const THREAD_COUNTS = [1, 2];
/** A writer of this event needs at least this share of the bare server's rate. */
const SHARE_GOAL = 0.7;

async function eventsPerSecond(
  root: string,
  threads: number,
  durationMs: number,
  isBare: boolean,
): Promise<number> {
  const args = [root, String(threads), String(durationMs), ...(isBare ? ['bare'] : [])];
  const { status, stdout, stderr } = await finish(cProgram('bench/writer.c'), args);
  if (status !== 0) throw new Error(`The writer failed: ${stderr}`);
  const [events = 0, tookNs = 0] = stdout.split(' ').map(Number);
  return events / (tookNs / 1e9);
}

/** Measures with each number of writer threads; the share is of two runs that followed each other. */
export async function measureThroughput(): Promise<Measurement[]> {
  const server = await Server.start();
  const bareRoot = await mkdtemp(path.join(tmpdir(), 'usertrace-bare-'));
  const bare = new Child(cProgram('bench/bare-fuse.c'), [bareRoot]);
  const measurements: Measurement[] = [];
  try {
    await bare.line(/^ready/);
    await server.append('dynamic_events', 'u:bench u64 address; u32 length\n');
    await server.enable('user_events/bench');
    await eventsPerSecond(server.root, 1, WARM_UP_MS, false);
    await eventsPerSecond(bareRoot, 1, WARM_UP_MS, true);
    for (const threads of THREAD_COUNTS) {
      const ours: number[] = [];
      const theirs: number[] = [];
      for (let repetition = 0; repetition < REPETITIONS; repetition++) {
        ours.push(await eventsPerSecond(server.root, threads, WRITING_MS, false));
        theirs.push(await eventsPerSecond(bareRoot, threads, WRITING_MS, true));
      }
      const writers = `${threads} writer${threads === 1 ? '' : 's'}`;
      const shares = ours.map((rate, repetition) => rate / (theirs[repetition] ?? Number.NaN));
      measurements.push(
        { name: `events through write(2), ${writers}`, unit: 'events/s', samples: ours },
        { name: `bare C FUSE server, ${writers}`, unit: 'events/s', samples: theirs },
        {
          name: `share of the bare server, ${writers}`,
          unit: '',
          samples: shares,
          goal: { is: 'at least', value: SHARE_GOAL },
        },
      );
    }
  } finally {
    await bare.kill('SIGTERM');
    await rmdir(bareRoot);
    await server.stop();
  }
  return measurements;
}
