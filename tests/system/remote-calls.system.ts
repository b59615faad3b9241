/** A program that is made to call the system goes on as before, also when its tracer is killed in the middle of that. */
import { beforeEach, describe, expect, it } from 'vitest';
import { killedTracer, mustRunOn } from '../endurance/kills.ts';
import { probedLoop } from '../endurance/kinds.ts';
import { needs, SCALE } from './fixture.ts';
import { startAnswering } from './killed-tracers.ts';

const KILLS = 17 * SCALE;
const LIFE_MS = 60;

describe('remote system calls', () => {
  beforeEach((context) => needs(context, 'root', 'cc'));

  it(
    'of a tracer that is killed in the middle leave threads as they were',
    async () => {
      const target = await startAnswering(probedLoop(), '4');
      for (let round = 0; round < KILLS; round++) {
        // Some threads compute, and check what; one waits for input.
        await killedTracer('remote-caller.mjs', [target.pid], (round * 37) % LIFE_MS);
        await mustRunOn(target);
      }
      const [result, status] = await target.end();
      expect(result).toMatch(/^calls [0-9]+ wrong 0$/u);
      expect(status).toBe('status 0');
    },
    600_000 * SCALE,
  );
});
