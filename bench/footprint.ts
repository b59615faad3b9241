/**
 * What the server takes: time to start, memory when idle, and memory for each event and each enabler.
 */
import { cProgram } from '../tests/support/c-programs.ts';
import { Child } from '../tests/support/child.ts';
import { Server } from '../tests/support/server.ts';
import { delay } from '../tests/support/wait.ts';
import type { Measurement } from './measurement.ts';

const STARTS = 7;
const STARTUP_GOAL_MS = 300;
const IDLE_GOAL_MIB = 80;
/** After this a fresh server does nothing more by itself. */
const IDLE_AFTER_MS = 500;
const REPETITIONS = 3;
const EVENTS = 32_768;
const EVENTS_GOAL_MIB = 200;
const ENABLERS = EVENTS;
const REGISTERING_TIMEOUT_MS = 120_000;
const BYTES_PER_MIB = 1024 * 1024;

/** Starts servers one after another. */
export async function measureStartup(): Promise<Measurement[]> {
  const startupMs: number[] = [];
  const idleMiB: number[] = [];
  for (let start = 0; start < STARTS; start++) {
    const server = await Server.start();
    startupMs.push(server.startupMs);
    await delay(IDLE_AFTER_MS);
    idleMiB.push(server.footprint().rssMiB);
    await server.stop();
  }
  return [
    {
      name: 'serve: spawn to ready',
      unit: 'ms',
      samples: startupMs,
      goal: { is: 'below', value: STARTUP_GOAL_MS },
    },
    {
      name: 'idle server, resident',
      unit: 'MiB',
      samples: idleMiB,
      goal: { is: 'below', value: IDLE_GOAL_MIB },
    },
  ];
}

/** How much more a fresh server holds after `count` registrations, in MiB. */
async function growth(kind: 'events' | 'enablers', count: number): Promise<number> {
  const server = await Server.start();
  await delay(IDLE_AFTER_MS);
  const before = server.footprint().rssMiB;
  const many = new Child(cProgram('tests/programs/many-events.c'), [server.root, kind, String(count)]);
  try {
    const answer = await many.line(/^ready /, REGISTERING_TIMEOUT_MS);
    if (answer !== `ready ${count}`) throw new Error(`Only some were registered: ${answer}: ${many.stderr}`);
    await delay(IDLE_AFTER_MS);
    return server.footprint().rssMiB - before;
  } finally {
    await many.end();
    await server.stop();
  }
}

function bytesEach(grownMiB: readonly number[], count: number): number[] {
  return grownMiB.map((grown) => (grown * BYTES_PER_MIB) / count);
}

/** Registers as many events as there may be, and as many enablers of one event as one process may have. */
export async function measureMemory(): Promise<Measurement[]> {
  const eventsMiB: number[] = [];
  const enablersMiB: number[] = [];
  for (let repetition = 0; repetition < REPETITIONS; repetition++) {
    eventsMiB.push(await growth('events', EVENTS));
    enablersMiB.push(await growth('enablers', ENABLERS));
  }
  return [
    {
      name: `${EVENTS} registered events`,
      unit: 'MiB',
      samples: eventsMiB,
      goal: { is: 'below', value: EVENTS_GOAL_MIB },
    },
    { name: 'one event with its enabler', unit: 'bytes', samples: bytesEach(eventsMiB, EVENTS) },
    { name: 'one enabler', unit: 'bytes', samples: bytesEach(enablersMiB, ENABLERS) },
  ];
}
