/**
 * Probes in real programs while they work: they do the same as without, and each place is hit as often as the kernel counts. `npm run
 * campaign` does it with thousands of places; `USERTRACE_SEED` and `USERTRACE_SCALE` choose others and more.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { probe } from '../campaign/campaign.ts';
import { workloads } from '../campaign/workload.ts';
import { CAMPAIGN_TIMEOUT_MS, needs, SCALE } from './fixture.ts';

const SEED = Number(process.env['USERTRACE_SEED'] ?? 5);
const PLACES = 16 * SCALE;
/** The others take longer than a look in between may. */
const NAMES = ['bash', 'python3', 'libc of bash', 'libstdc++', 'libcrypto', 'sort'];

describe('probes on the functions of real programs', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'usertrace-campaign-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it.for(NAMES.flatMap((name) => (['p', 'r'] as const).map((kind) => ({ name, kind }))))(
    'do not change what it does, and are hit as often as the kernel says: $kind of $name',
    // Some seconds each, on a machine with nothing else to do.
    { timeout: 4 * CAMPAIGN_TIMEOUT_MS },
    async ({ name, kind }, context) => {
      needs(context, 'root', 'cc', 'kernel-uprobes');
      const workload = workloads(folder).find((each) => each.name === name);
      if (workload === undefined) {
        context.skip(`needs what "${name}" runs`);
        return;
      }
      const finding = await probe(workload, kind, PLACES, SEED, folder);
      expect(finding.differences).toEqual([]);
      expect(finding.executed).toBeGreaterThan(0);
    },
  );
});
