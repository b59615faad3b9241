/**
 * How long a write to an event's `enable` takes when many processes have a word for it.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import { cProgram } from '../tests/support/c-programs.ts';
import { Child } from '../tests/support/child.ts';
import { Server } from '../tests/support/server.ts';
import type { Measurement } from './measurement.ts';

const REPETITIONS = 20;
const PROCESSES = 1_000;
const GOAL_MS = 20;

/**
 * Switches an event on and off, and asks every process after each switch whether its word has the new bit.
 *
 * @returns how long each write to `enable` took, in milliseconds
 */
async function switchTimes(processes: number): Promise<number[]> {
  const server = await Server.start();
  const program = cProgram('tests/programs/forked-holders.c');
  const family = new Child(program, [server.root, 'family u32 value', String(processes - 1)]);
  try {
    await family.line(/^ready /);
    const times: number[] = [];
    for (let repetition = 0; repetition < REPETITIONS; repetition++) {
      const isOn = repetition % 2 === 0;
      times.push(writeTime(server.path('events/user_events/family/enable'), isOn ? '1' : '0'));
      family.say('?');
      const expected = `set ${isOn ? processes : 0} of ${processes}`;
      const answer = await family.line(/^set /);
      if (answer !== expected) throw new Error(`The words say "${answer}" and not "${expected}"`);
    }
    return times;
  } finally {
    await family.end();
    await server.stop();
  }
}

function writeTime(file: string, text: string): number {
  const descriptor = openSync(file, 'w');
  const startedAt = performance.now();
  writeSync(descriptor, text);
  const tookMs = performance.now() - startedAt;
  closeSync(descriptor);
  return tookMs;
}

/** Measures with one process and with many; the difference is what the remote writes cost. */
export async function measureEnabling(): Promise<Measurement[]> {
  const one = await switchTimes(1);
  const many = await switchTimes(PROCESSES);
  const remoteWriteUs = many.map((tookMs, index) => ((tookMs - (one[index] ?? 0)) * 1000) / (PROCESSES - 1));
  return [
    { name: 'enable an event of 1 process', unit: 'ms', samples: one },
    {
      name: `enable an event of ${PROCESSES} forked processes`,
      unit: 'ms',
      samples: many,
      goal: { is: 'below', value: GOAL_MS },
    },
    {
      name: 'one remote write',
      unit: 'µs',
      samples: remoteWriteUs,
      note: 'the difference of the two above for each further process',
    },
  ];
}
