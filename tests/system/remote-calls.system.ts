/** A program that is made to call the system goes on as before, also when its tracer is killed in the middle of that. */
import { beforeEach, describe, expect, it } from 'vitest';
import { cProgram } from '../support/c-programs.ts';
import { until } from '../support/wait.ts';
import { needs } from './fixture.ts';
import { Answering, killedTracer, PATIENCE_MS, untilUntouched } from './killed-tracers.ts';

const SCALE = Number(process.env['USERTRACE_SCALE'] ?? 1);
const KILLS = 17 * SCALE;
const LIFE_MS = 60;

describe('remote system calls', () => {
  beforeEach((context) => needs(context, 'root', 'cc'));

  it(
    'of a tracer that is killed in the middle leave threads as they were',
    async () => {
      const target = await Answering.start(cProgram('tests/programs/probed-loop.c'), '4');
      const least = async (): Promise<number> => Number((await target.ask('least')).split(' ')[1]);
      for (let round = 0; round < KILLS; round++) {
        // Some threads compute, and check what; one waits for input.
        await killedTracer('remote-caller.mjs', [target.pid], (round * 37) % LIFE_MS);
        await untilUntouched(target.pid);
        const calls = await least();
        await until('every thread runs on', async () => (await least()) > calls + 10, PATIENCE_MS);
      }
      const [result, status] = await target.end();
      expect(result).toMatch(/^calls [0-9]+ wrong 0$/u);
      expect(status).toBe('status 0');
    },
    600_000 * SCALE,
  );
});
