/**
 * A process that measures one contender and prints the samples as a JSON array.
 *
 *   node contender-main.js MODULE text|numbers time|allocation
 *
 * `time`: nanoseconds an event, one sample a round, warm. `allocation`: bytes of V8's heap and of buffers an event,
 * which needs --expose-gc and a young generation so large that nothing is collected while a sample is taken.
 */
import type { Contender, EmitMany, Payload } from './contender.ts';
import { roundNs, warmUp } from './rounds.ts';

const ROUNDS = 5;
const ALLOCATION_EVENTS = 100_000;

function heldBytes(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Bytes that `run` left on the heap, as a collection would find them. */
function allocatedBytes(run: () => void): number {
  globalThis.gc?.();
  const before = heldBytes();
  run();
  return heldBytes() - before;
}

function allocationSamples(emitMany: EmitMany): number[] {
  if (globalThis.gc === undefined) throw new Error('Cannot measure allocation without --expose-gc');
  const samples: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const nothing = allocatedBytes(() => undefined);
    const bytes = allocatedBytes(() => emitMany(ALLOCATION_EVENTS)) - nothing;
    samples.push(bytes / ALLOCATION_EVENTS);
  }
  return samples;
}

const [name = '', payload = '', what = ''] = process.argv.slice(2);
const { openContender } = (await import(`./${name}.js`)) as {
  openContender: () => Contender;
};
const contender = openContender();
const emitMany = contender.loops[payload as Payload];
const count = warmUp(emitMany);
const samples =
  what === 'allocation'
    ? allocationSamples(emitMany)
    : Array.from({ length: ROUNDS }, () => roundNs(emitMany, count));
contender.close?.();
console.log(JSON.stringify(samples));
