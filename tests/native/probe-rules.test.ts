import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { probeRefusal } from '@usertrace/uprobes';
import { describe, expect, it } from 'vitest';
import { inRepository } from '../support/repository.ts';
import { missing } from '../support/requirements.ts';
import { askAboutInstructions, canAskKernel } from './kernel-probes.ts';
import { random } from './snippets.ts';

/** What Linux 6.18 said: a form's bytes in hex, and whether it took a probe. */
const RECORDED = readFileSync(inRepository('tests', 'native', 'kernel-probes.txt'), 'utf8')
  .trimEnd()
  .split('\n')
  .map((line) => ({ form: line.split(' ')[0] ?? '', isTaken: line.endsWith(' taken') }));

function ours(form: string): string | undefined {
  return probeRefusal(Buffer.concat([Buffer.from(form, 'hex'), Buffer.alloc(16)]).subarray(0, 16));
}

const SEED = Number(process.env['USERTRACE_SEED'] ?? 1);

describe('the rules for where a probe may be put', () => {
  it('refuse what the kernel refused', () => {
    const refused = RECORDED.filter(({ isTaken }) => !isTaken);
    expect(refused.length).toBeGreaterThan(150);
    expect(refused.filter(({ form }) => ours(form) === undefined)).toEqual([]);
  });

  it('take what the kernel took, but for bytes that the disassembler does not know', () => {
    const taken = RECORDED.filter(({ isTaken }) => isTaken);
    const refusals = taken.map(({ form }) => ours(form)).filter((reason) => reason !== undefined);
    expect(taken.length - refusals.length).toBeGreaterThan(700);
    expect(new Set(refusals)).toEqual(new Set(['invalid-instruction']));
  });

  it.skipIf(!canAskKernel() || missing('cc') !== undefined)(
    `are those of this machine’s kernel (USERTRACE_SEED=${SEED})`,
    async () => {
      const below = random(SEED);
      const prefixes = ['', '66', 'f2', 'f3', '48', '64', '67', '2e', '3e', 'f0'];
      const sample = Array.from({ length: 60 }, () => {
        const opcode = (below(2) === 0 ? '' : '0f') + below(256).toString(16).padStart(2, '0');
        return (prefixes[below(prefixes.length)] ?? '') + opcode + below(256).toString(16).padStart(2, '0');
      });
      const folder = mkdtempSync(join(tmpdir(), 'usertrace-probes-'));
      try {
        const answers = await askAboutInstructions(sample, join(folder, 'forms'));
        for (const [index, form] of sample.entries()) {
          const reason = ours(form);
          if (answers[index] === false) expect(reason, form).toBeDefined();
          else expect([undefined, 'invalid-instruction'], form).toContain(reason);
        }
      } finally {
        rmSync(folder, { recursive: true });
      }
    },
    60_000,
  );
});
