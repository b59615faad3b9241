/**
 * The domain in random histories, against a model. A failing run prints its seed; USERTRACE_SEED replays it,
 * USERTRACE_RUNS says how many histories to try.
 */

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { OP_NAMES, type Op, Simulation } from './simulation.sim.ts';

const SHORT_RUNS = 5000;
const runs = Number(process.env['USERTRACE_RUNS'] ?? SHORT_RUNS);
const seed = Number(process.env['USERTRACE_SEED'] ?? Math.trunc(Math.random() * 0x7fff_ffff));

const ops: fc.Arbitrary<Op[]> = fc.array(
  fc.record({
    name: fc.oneof(
      fc.constantFrom(...OP_NAMES),
      // What makes histories long: registrations, and the end of what they began.
      fc.constantFrom('register' as const, 'register' as const, 'finish' as const, 'attach' as const),
    ),
    choices: fc.tuple(fc.nat(0xffff), fc.nat(0xffff), fc.nat(0xffff)),
  }),
  { minLength: 10, maxLength: 120, size: 'max' },
);

it(
  `UserEvents keeps its promises in random histories (USERTRACE_SEED=${seed})`,
  () => {
    let steps = 0;
    fc.assert(
      fc.property(ops, (history) => {
        const simulation = new Simulation();
        for (const op of history) simulation.run(op);
        simulation.settle();
        simulation.tearDown();
        steps += history.length;
      }),
      { seed, numRuns: runs },
    );
    expect(steps).toBeGreaterThan(runs);
  },
  1000 + runs * 100,
);
