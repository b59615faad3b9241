/**
 * A thread that looks probes up for as long as it is told, and answers how many lookups a second it made. Time in which it could
 * have run and other programs had the processor does not count; time in which it slept for a lock does.
 */
import { readFileSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { SharedTableMemory, TableReader } from '@usertrace/uprobes';
import { LockedTable, someAddresses } from './tables.ts';

/** What the thread is given. */
export interface ReaderSetup {
  readonly shared: SharedArrayBuffer;
  readonly reader: number;
  readonly space: number;
  readonly locked: SharedArrayBuffer;
}

/** Which table to look up in, and for how long. */
export interface Round {
  readonly table: 'shared' | 'locked';
  readonly ms: number;
}

const { shared, reader, space, locked } = workerData as ReaderSetup;
const sharedReader = new TableReader(new SharedTableMemory(shared), reader);
const lockedTable = new LockedTable(locked);
const addresses = someAddresses();

/** How long this thread has waited for a processor (proc(5), /proc/PID/schedstat). */
function queuedMs(): number {
  return Number(readFileSync('/proc/thread-self/schedstat', 'utf8').split(' ')[1]) / 1e6;
}

const passes: Record<Round['table'], () => number> = {
  shared: () => {
    let found = 0;
    for (const address of addresses) found += sharedReader.lookup(space, address) < 0 ? 0 : 1;
    return found;
  },
  locked: () => {
    let found = 0;
    for (const address of addresses) found += lockedTable.lookup(address) < 0 ? 0 : 1;
    return found;
  },
};

parentPort?.on('message', ({ table, ms }: Round) => {
  const pass = passes[table];
  const queuedBefore = queuedMs();
  const beganAt = performance.now();
  let lookups = 0;
  let found = 0;
  while (performance.now() - beganAt < ms) {
    found += pass();
    lookups += addresses.length;
  }
  if (found === 0) throw new Error('no lookup found a probe: the tables are not what they should be');
  const ranMs = performance.now() - beganAt - (queuedMs() - queuedBefore);
  parentPort?.postMessage((lookups / ranMs) * 1000);
});
parentPort?.postMessage('ready');
