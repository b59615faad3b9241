/**
 * Finding the probe of a hit: lookups of one and of two reader threads while this one changes mappings, in the lock-free table and
 * in one under a lock, taken in turn.
 */
import { Worker } from 'node:worker_threads';
import { SharedTableMemory, TableWriter } from '@usertrace/uprobes';
import type { ReaderSetup, Round } from './lookups/reader-thread.ts';
import { LockedTable, mappingsAt, probes } from './lookups/tables.ts';
import { type Measurement, quotients, type Results } from './measurement.ts';
import { answerOf } from './worker-answer.ts';

const ROUNDS = 9;
const ROUND_MS = 400;
const CHANGE_INTERVAL_MS = 2;
const READERS = 2;
const GOAL = 1.8;

/** Lookups a second of all readers together. */
async function rate(threads: readonly Worker[], round: Round): Promise<number> {
  const answers = threads.map(answerOf);
  for (const thread of threads) thread.postMessage(round);
  return ((await Promise.all(answers)) as number[]).reduce((sum, each) => sum + each, 0);
}

/** @returns measurements of lookups */
export async function measureLookups(): Promise<Results> {
  const memory = SharedTableMemory.create();
  const writer = new TableWriter(memory);
  const locked = new LockedTable();
  const space = writer.openSpace();
  const placed = probes();
  let changes = 0;
  const change = (): void => {
    const mappings = mappingsAt(changes++);
    writer.publish(space, mappings, placed);
    locked.publish(mappings, placed);
  };
  change();
  const threads = Array.from({ length: READERS }, () => {
    const workerData: ReaderSetup = {
      shared: memory.buffer,
      reader: writer.addReader(),
      space,
      locked: locked.buffer,
    };
    return new Worker(new URL('lookups/reader-thread.js', import.meta.url), { workerData });
  });
  try {
    await Promise.all(threads.map(answerOf));
    const timer = setInterval(change, CHANGE_INTERVAL_MS);
    const rates: Record<string, number[]> = {};
    for (let round = -1; round < ROUNDS; round++) {
      for (const table of ['shared', 'locked'] as const) {
        for (const readers of [1, READERS]) {
          const perSecond = await rate(threads.slice(0, readers), { table, ms: ROUND_MS });
          // The first round warms up.
          if (round >= 0) (rates[`${table} ${readers}`] ??= []).push(perSecond);
        }
      }
    }
    clearInterval(timer);
    return { measurements: measurementsOf(rates, changes), skipped: [] };
  } finally {
    await Promise.all(threads.map((thread) => thread.terminate()));
  }
}

function measurementsOf(rates: Readonly<Record<string, number[]>>, changes: number): Measurement[] {
  const of = (name: string): number[] => rates[name] ?? [];
  const millions = (name: string): number[] => of(name).map((perSecond) => perSecond / 1e6);
  return [
    { name: 'lookups, one reader', unit: 'million/s', samples: millions('shared 1') },
    { name: 'lookups, two readers', unit: 'million/s', samples: millions('shared 2') },
    {
      name: "two readers' lookups to one's",
      unit: 'x',
      samples: quotients(of('shared 2'), of('shared 1')),
      goal: { is: 'at least', value: GOAL },
      note: `400 mappings and 1,000 probes; the main thread published ${changes} times in all`,
    },
    { name: 'the same in a locked table', unit: 'x', samples: quotients(of('locked 2'), of('locked 1')) },
    {
      name: "two readers' lookups to a locked table's",
      unit: 'x',
      samples: quotients(of('shared 2'), of('locked 2')),
    },
  ];
}
