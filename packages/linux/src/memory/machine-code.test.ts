import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { INSTRUCTIONS, machineCode } from './machine-code.ts';

const hasObjdump = spawnSync('objdump', ['--version']).status === 0;

describe('machineCode()', () => {
  it.skipIf(!hasObjdump)('is what its mnemonics say (needs objdump)', () => {
    const directory = mkdtempSync(join(tmpdir(), 'usertrace-'));
    const file = join(directory, 'code');
    writeFileSync(file, machineCode());
    const options = ['-D', '-b', 'binary', '-m', 'i386:x86-64', '-M', 'intel', '--insn-width=12', file];
    const listing = execFileSync('objdump', options, { encoding: 'utf8' });
    rmSync(directory, { recursive: true });

    const labels = new Map<string, string>();
    let offset = 0;
    for (const [label, instructions] of Object.entries(INSTRUCTIONS)) {
      labels.set(`0x${offset.toString(16)}`, label);
      for (const [bytes] of instructions) offset += bytes.split(' ').length;
    }
    const seen = [...listing.matchAll(/^\s+[0-9a-f]+:\t([0-9a-f ]+?)\s*\t(.*)$/gm)].map(
      ([, bytes, text = '']) => [
        bytes,
        text
          .trim()
          .replace(/\s+/g, ' ')
          .replaceAll(',', ', ')
          .replace(
            /^(j\w+) (0x[0-9a-f]+)$/,
            (_, jump: string, target: string) => `${jump} ${labels.get(target)}`,
          ),
      ],
    );
    expect(seen).toEqual(Object.values(INSTRUCTIONS).flat());
  });
});
