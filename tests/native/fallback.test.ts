/** The handler that serves breakpoints when no tracer lives, run by a program of its own. */
import { spawnSync } from 'node:child_process';
import { ENTRY, makeFallbackCode, type SignalAction } from '@usertrace/uprobes';
import { describe, expect, it } from 'vitest';
import { cProgram } from '../support/c-programs.ts';
import { missing } from '../support/requirements.ts';

const REGION = 0x5000_0000;
const CODE = REGION + 64;
const ENTRIES = REGION + 4096;
const PROBED = 0x2000_0000;
const SLOT = 0x2100_0000;
const DEFAULT: SignalAction = { handler: 0n, flags: 0n, restorer: 0n, mask: 0n };
const SCALE = Number(process.env['USERTRACE_SCALE'] ?? 1);

const lacking = missing('cc');

/** Runs with the breakpoint's entry among others, which are elsewhere. */
function run(
  calls: number,
  options: { count?: number; place?: number; stack?: boolean; storm?: boolean } = {},
): { wrong: number; storms: number; signal: NodeJS.Signals | null } {
  const { count = 1, place = 0, stack = false, storm = false } = options;
  const code = makeFallbackCode({
    address: CODE,
    countAddress: REGION,
    entriesAddress: ENTRIES,
    defaultActionAddress: REGION + 8,
    former: DEFAULT,
  });
  const region = Buffer.alloc(4096 + count * ENTRY.size);
  region.writeUInt32LE(count, 0);
  region.set(code.bytes, CODE - REGION);
  for (let index = 0; index < count; index++) {
    const [instruction, slot] = index === place ? [PROBED, SLOT] : [0x1000 + index, 0x9000 + index];
    region.writeBigUInt64LE(BigInt(instruction), 4096 + index * ENTRY.size + ENTRY.instruction);
    region.writeBigUInt64LE(BigInt(slot), 4096 + index * ENTRY.size + ENTRY.slot);
  }
  const header = BigUint64Array.from([REGION, region.length, CODE, code.restorer], BigInt);
  const { stdout, signal } = spawnSync(
    cProgram('tests/programs/fallback-run.c'),
    [String(calls), stack ? '1' : '0', storm ? '1' : '0'],
    { input: Buffer.concat([Buffer.from(header.buffer), region]), encoding: 'utf8' },
  );
  const [, wrong, storms] = /^wrong (\d+) storms (\d+)/u.exec(stdout) ?? [];
  return { wrong: Number(wrong), storms: Number(storms), signal };
}

describe.skipIf(lacking !== undefined)('the fallback handler', () => {
  it('sends a thread on in the slot, with all its registers, flags and vectors', () => {
    expect(run(10_000)).toMatchObject({ wrong: 0, signal: null });
    expect(run(1_000, { stack: true })).toMatchObject({ wrong: 0, signal: null });
  });

  it('finds the entry wherever it is in the largest table', () => {
    const count = 16_384;
    for (const place of [0, 1, count / 2, count - 1])
      expect(run(200, { count, place })).toMatchObject({ wrong: 0, signal: null });
  });

  it('can be interrupted by handlers that run into breakpoints themselves', { timeout: 120_000 }, () => {
    const { storms, ...result } = run(10_000 * SCALE, { storm: true, stack: true });
    expect(result).toMatchObject({ wrong: 0, signal: null });
    expect(storms).toBeGreaterThan(10);
  });

  it("leaves a breakpoint that is not in the table to the program's default: it dies of SIGILL", () => {
    expect(run(1, { place: -1 }).signal).toBe('SIGILL');
  });
});
