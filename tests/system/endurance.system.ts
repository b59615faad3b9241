/**
 * Probes that come and go under busy threads, and tracers that are killed: some of each here; `npm run endurance` does thousands.
 */
import { beforeEach, describe, expect, it } from 'vitest';
import { changeProbe } from '../endurance/changes.ts';
import { killTracers } from '../endurance/kills.ts';
import { KINDS } from '../endurance/kinds.ts';
import { needs, SCALE } from './fixture.ts';

const SEED = Number(process.env['USERTRACE_SEED'] ?? 1);
const CHANGES = 40 * SCALE;
const KILLS = 32 * SCALE;
/** Eight threads have all processors; and each tracer is a Node program of its own. */
const TIMEOUT_MS = 600_000 * SCALE;

describe('probes', () => {
  beforeEach((context) => needs(context, 'root', 'cc'));

  it.each(Object.keys(KINDS))(
    'come and go while eight threads call the function: %s',
    async (kind) => {
      const { changes, hits } = await changeProbe(kind, CHANGES);
      expect(changes).toBe(CHANGES);
      expect(hits).toBeGreaterThan(0);
    },
    TIMEOUT_MS,
  );

  it(
    `of killed tracers harm nobody, and the next tracer takes them away (USERTRACE_SEED=${SEED})`,
    async () => {
      const { kills, probed } = await killTracers(Object.keys(KINDS), KILLS, SEED);
      expect(kills).toBe(KILLS);
      expect(probed).toBeGreaterThan(KILLS / 4);
    },
    TIMEOUT_MS,
  );
});
