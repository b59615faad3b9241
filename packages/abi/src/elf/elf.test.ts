import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { debugCandidates, debugChecksum } from './debug-files.ts';
import { ElfError } from './elf-error.ts';
import { addressOf, ElfFile, fileOffsetOf } from './elf-file.ts';
import { elfCodeRanges } from './frames.ts';
import { elfBuildId } from './notes.ts';
import { parseSdtArguments, sdtSites } from './sdt.ts';
import { elfFunctions } from './symbols.ts';

const FILES = [
  '/usr/lib/x86_64-linux-gnu/libc.so.6',
  '/usr/lib/x86_64-linux-gnu/libstdc++.so.6',
  '/usr/bin/bash',
  '/usr/bin/python3',
  process.execPath,
].filter((path) => existsSync(path));

function readelf(...options: string[]): string {
  const { stdout, error } = spawnSync('readelf', ['-W', ...options], {
    encoding: 'latin1',
    maxBuffer: 1 << 28,
  });
  // It ends with a status for what it only warns of.
  if (error !== undefined) throw error;
  return stdout;
}

function hasReadelf(): boolean {
  try {
    readelf('--version');
    return true;
  } catch {
    return false;
  }
}

describe.skipIf(!hasReadelf()).each(FILES)('readelf (binutils) and we agree about %s', (path) => {
  const file = new ElfFile(readFileSync(path));

  it('on its functions', () => {
    const pattern =
      /^ *\d+: (?<value>[0-9a-f]{16}) +(?<size>\S+) (?<type>FUNC|IFUNC) +\S+ +\S+ +(?:\[[^\]]*\] +)?(?<section>\S+) (?<name>\S*)/;
    const expected = new Set(
      readelf('--syms', path)
        .split('\n')
        .flatMap((line) => {
          const found = pattern.exec(line)?.groups;
          if (found === undefined || found['section'] === 'UND') return [];
          return [
            `${BigInt(`0x${found['value']}`)} ${Number(found['size'])} ${found['type']} ${found['name']?.split('@')[0]}`,
          ];
        }),
    );
    const ours = elfFunctions(file).map(
      ({ address, size, kind, name }) =>
        `${address} ${size} ${kind === 'indirect' ? 'IFUNC' : 'FUNC'} ${name}`,
    );
    expect(ours.length).toBeGreaterThan(100);
    expect(new Set(ours)).toEqual(expected);
  }, 120_000);

  it('on its build id and its probe sites', () => {
    const notes = readelf('-n', path);
    expect(elfBuildId(file)).toBe(/Build ID: (?<id>[0-9a-f]+)/.exec(notes)?.groups?.['id']);
    const site =
      /Provider: (?<provider>.*)\n +Name: (?<name>.*)\n +Location: 0x(?<at>[0-9a-f]+), Base: .*, Semaphore: 0x(?<counter>[0-9a-f]+)\n +Arguments: ?(?<text>.*)/g;
    const expected = [...notes.matchAll(site)].map(({ groups }) => ({
      provider: groups?.['provider'] ?? '',
      name: groups?.['name'] ?? '',
      address: BigInt(`0x${groups?.['at']}`),
      counter: BigInt(`0x${groups?.['counter']}`),
      arguments: groups?.['text'] ?? '',
    }));
    expect(sdtSites(file)).toEqual(expected);
    for (const { arguments: text } of sdtSites(file))
      expect(parseSdtArguments(text), text).not.toContain(undefined);
  });

  it('on the stretches of code that belong together', () => {
    // Some files have frames for debuggers besides, of which not all are in what programs use.
    const [frames = ''] = readelf('--debug-dump=frames', path)
      .split(/^Contents of the /m)
      .filter((section) => section.startsWith('.eh_frame '));
    const found = frames.matchAll(/ FDE .* pc=(?<from>[0-9a-f]+)\.\.(?<to>[0-9a-f]+)/g);
    const expected = [...found].map(({ groups }) => {
      const [from, to] = [BigInt(`0x${groups?.['from']}`), BigInt(`0x${groups?.['to']}`)];
      return `${from} ${to - from}`;
    });
    const ours = elfCodeRanges(file).map(({ address, size }) => `${address} ${size}`);
    expect(new Set(ours)).toEqual(new Set(expected.filter((range) => !range.endsWith(' 0'))));
  }, 120_000);

  it('on where functions stand in the file', () => {
    for (const { address } of elfFunctions(file).slice(0, 2000)) {
      const offset = fileOffsetOf(file, address);
      if (offset !== undefined) expect(addressOf(file, offset)).toBe(address);
    }
  });
});

function memory(base: string | undefined, displacement: bigint, index?: string, scale = 1): object {
  return { kind: 'memory', base, index, scale, displacement };
}

describe('parseSdtArguments()', () => {
  it('reads what compilers write', () => {
    expect(
      parseSdtArguments('-4@%edi 8@-16(%rbp) 8@$-5 1@8(%rax,%rbx,4) 8f@%xmm0 %rdx 2@(%r8) 8@( , %rcx, 8)'),
    ).toMatchObject([
      { size: 4, isSigned: true, operand: { kind: 'register', register: 'edi' } },
      { size: 8, isSigned: false, operand: memory('rbp', -16n) },
      { size: 8, operand: { kind: 'constant', value: -5n } },
      { size: 1, operand: memory('rax', 8n, 'rbx', 4) },
      { isFloat: true, operand: { register: 'xmm0' } },
      { size: 8, isSigned: true, operand: { register: 'rdx' } },
      { size: 2, operand: memory('r8', 0n) },
      { size: 8, operand: memory(undefined, 0n, 'rcx', 8) },
    ]);
  });

  it('says which it cannot read', () => {
    expect(parseSdtArguments('8@some_symbol(%rip) 4@%eax')).toMatchObject([undefined, { size: 4 }]);
    expect(parseSdtArguments('')).toEqual([]);
  });
});

describe('debug files', () => {
  it('are looked for where gdb looks', () => {
    const path = FILES[0];
    if (path === undefined) return;
    const file = new ElfFile(readFileSync(path));
    const id = elfBuildId(file) ?? '';
    const paths = debugCandidates(path, file).map((candidate) => candidate.path);
    expect(paths[0]).toBe(`/usr/lib/debug/.build-id/${id.slice(0, 2)}/${id.slice(2)}.debug`);
  });

  it('are known by the checksum of IEEE 802.3', () => {
    expect(debugChecksum(Buffer.from('123456789'))).toBe(0xcbf43926);
  });
});

describe('a hostile file', () => {
  const SEED = Number(process.env['USERTRACE_SEED'] ?? 1);
  const RUNS = Number(process.env['USERTRACE_RUNS'] ?? 400);
  const sample = FILES[0] === undefined ? undefined : shrunk(readFileSync(FILES[0]));

  it.skipIf(sample === undefined)(
    `is refused in words, or read in bounds (USERTRACE_SEED=${SEED})`,
    () => {
      const below = numbers(SEED);
      let refused = 0;
      for (let run = 0; run < Math.min(RUNS, 20_000); run++) {
        const bytes = Buffer.from(sample ?? []);
        for (let change = below(6); change >= 0; change--) damage(bytes, below);
        const cut = below(4) === 0 ? bytes.subarray(0, below(bytes.length)) : bytes;
        try {
          const file = new ElfFile(cut);
          elfFunctions(file);
          elfCodeRanges(file);
          elfBuildId(file);
          debugCandidates('/x', file);
          for (const { arguments: text } of sdtSites(file)) parseSdtArguments(text);
          file.memory(file.entry, 64);
        } catch (error) {
          expect(error).toBeInstanceOf(ElfError);
          refused++;
        }
      }
      expect(refused).toBeGreaterThan(0);
    },
    120_000,
  );

  it('that is no ELF file at all is refused', () => {
    expect(() => new ElfFile(Buffer.from('#!/bin/sh\n'))).toThrow(
      'Cannot read the ELF file: it does not begin as one',
    );
    expect(() => new ElfFile(new Uint8Array())).toThrow(ElfError);
  });
});

/** A file's headers, notes and tables with few symbols, so that a run takes little time. */
function shrunk(file: Buffer): Buffer {
  const small = Buffer.from(file);
  const elf = new ElfFile(small);
  const at = elf.sections.findIndex(({ name }) => name === '.dynsym');
  if (at > 0) small.writeBigUInt64LE(24n * 50n, Number(small.readBigUInt64LE(40)) + at * 64 + 32);
  return small;
}

function numbers(seed: number): (bound: number) => number {
  let state = seed;
  return (bound) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return Math.floor((state / 2 ** 32) * bound);
  };
}

/** Changes a field of the header, the section table, the segment table or the notes. */
function damage(bytes: Buffer, below: (bound: number) => number): void {
  const sections = Number(bytes.readBigUInt64LE(40) % BigInt(bytes.length));
  const regions = [
    [0, 64],
    [64, 56 * 12],
    [sections, 64 * 60],
    [64 + 56 * 12, 2048],
  ] as const;
  const [start, length] = regions[below(regions.length)] ?? regions[0];
  const at = Math.min(bytes.length - 8, start + below(length));
  const values = [
    0n,
    1n,
    0xffn,
    0xffffn,
    0xffff_ffffn,
    0x7fff_ffff_ffff_ffffn,
    0xffff_ffff_ffff_ffffn,
    BigInt(bytes.length),
  ];
  const value = values[below(values.length)] ?? 0n;
  const width = below(3);
  if (width === 0) bytes.writeUInt8(Number(value & 0xffn), at);
  else if (width === 1) bytes.writeUInt32LE(Number(value & 0xffff_ffffn), at);
  else bytes.writeBigUInt64LE(value, at);
}
