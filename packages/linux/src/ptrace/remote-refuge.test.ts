/** The refuge's code, taken apart by another's disassembler. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Registers } from '@usertrace/abi';
import { describe, expect, it } from 'vitest';
import { isRefuge, refugeBytes, refugeFrame, refugeValues } from './remote-refuge.ts';

const ADDRESS = 0x6174_0000_0000n;

function hasObjdump(): boolean {
  try {
    execFileSync('objdump', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

describe('a refuge', () => {
  it.skipIf(!hasObjdump())(
    'loads each register from its own word, the flags and the mask before the rest',
    () => {
      const folder = mkdtempSync(join(tmpdir(), 'usertrace-refuge-'));
      try {
        const file = join(folder, 'code');
        const { code, values } = refugeFrame(ADDRESS, 3);
        const at = Number(code - ADDRESS);
        writeFileSync(file, refugeBytes(ADDRESS).subarray(at, at + 160));
        const listing = execFileSync(
          'objdump',
          [
            '-D',
            '-b',
            'binary',
            '-m',
            'i386:x86-64',
            '-M',
            'intel',
            `--adjust-vma=0x${code.toString(16)}`,
            file,
          ],
          { encoding: 'utf8' },
        );
        const word = (index: number): string => `0x${(values + BigInt(index * 8)).toString(16)}`;
        const lines = [...listing.matchAll(/^ *[0-9a-f]+:\t[0-9a-f ]+\t(.*)$/gmu)].map(([, text = '']) =>
          text
            .replaceAll(/\[rip\+0x[0-9a-f]+\] +# /gu, '')
            .replaceAll(/ +/gu, ' ')
            .trim(),
        );
        const registers = 'rsp rbx rbp r8 r9 r12 r13 r14 r15 rdi rsi rdx r10 rcx r11 rax'.split(' ');
        const loads = registers.map((name, index) => `mov ${name},QWORD PTR ${word(2 + index)}`);
        expect(lines.slice(0, 26)).toEqual([
          'syscall',
          `lea rsp,${word(1)}`,
          'popf',
          ...loads.slice(0, 9),
          'mov eax,0xe',
          'mov edi,0x2',
          `lea rsi,${word(0)}`,
          'mov edx,0x0',
          'mov r10d,0x8',
          'syscall',
          ...loads.slice(9),
          `jmp QWORD PTR ${word(18)}`,
        ]);
      } finally {
        rmSync(folder, { recursive: true });
      }
    },
  );

  it('is told from other memory, and from itself elsewhere', () => {
    expect(isRefuge(refugeBytes(ADDRESS), ADDRESS)).toBe(true);
    expect(isRefuge(refugeBytes(ADDRESS), ADDRESS + 4096n)).toBe(false);
    expect(isRefuge(new Uint8Array(4), ADDRESS)).toBe(false);
  });

  it('makes an interrupted call again, by its number or by restart_syscall', () => {
    const registers = new Registers();
    registers.set('rip', 0x1002n);
    const resumed = (answer: bigint, number: bigint): { rax: bigint; rip: bigint } => {
      registers.set('rax', answer);
      registers.set('orig_rax', number);
      const words = new BigUint64Array(Uint8Array.from(refugeValues(registers, 0n)).buffer);
      return { rax: words[17] ?? 0n, rip: words[18] ?? 0n };
    };
    for (const answer of [-512n, -513n, -514n])
      expect(resumed(answer, 35n)).toEqual({ rax: 35n, rip: 0x1000n });
    expect(resumed(-516n, 35n)).toEqual({ rax: 219n, rip: 0x1000n });
    expect(resumed(-4n, 35n)).toEqual({ rax: 2n ** 64n - 4n, rip: 0x1002n });
    expect(resumed(-512n, -1n)).toEqual({ rax: 2n ** 64n - 512n, rip: 0x1002n });
  });
});
