/**
 * Engines in random histories of stops, wakes, signals, execs, deaths, attaching and detaching, over the simulated kernel. A failing
 * run prints its seed; USERTRACE_SEED replays it, USERTRACE_RUNS says how many histories to try.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { OP_NAMES, type Op, Simulation } from './simulation.sim.ts';

const SHORT_RUNS = 3000;
const runs = Number(process.env['USERTRACE_RUNS'] ?? SHORT_RUNS);
const seed = Number(process.env['USERTRACE_SEED'] ?? Math.trunc(Math.random() * 0x7fff_ffff));

const ops: fc.Arbitrary<Op[]> = fc.array(
  fc.record({
    name: fc.oneof(
      fc.constantFrom(...OP_NAMES),
      // What makes histories long: threads that run, and their stops being told.
      fc.constantFrom('run' as const, 'run' as const, 'wait' as const, 'wait' as const, 'control' as const),
    ),
    choices: fc.tuple(fc.nat(0xffff), fc.nat(0xffff), fc.nat(0xffff)),
  }),
  { minLength: 10, maxLength: 150, size: 'max' },
);

it(
  `engines keep their promises in random histories (USERTRACE_SEED=${seed})`,
  async () => {
    let steps = 0;
    await fc.assert(
      fc.asyncProperty(ops, async (history) => {
        const simulation = new Simulation();
        for (const op of history) await simulation.run(op);
        await simulation.tearDown();
        steps += history.length;
      }),
      { seed, numRuns: runs },
    );
    expect(steps).toBeGreaterThan(runs);
  },
  60_000 + runs * 100,
);
