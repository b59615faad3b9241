import { existsSync, readFileSync } from 'node:fs';
import { ElfFile, elfCodeRanges, elfLandingPads } from '@usertrace/abi';
import {
  analyseFunction,
  disassemble,
  FileImage,
  type ImageFunction,
  placeInFunction,
  relocateAll,
  returnSites,
  UnmovableInstruction,
} from '@usertrace/uprobes';
import { describe, expect, it } from 'vitest';

/** Real files; `USERTRACE_FILES=a:b` takes others. */
const FILES = (process.env['USERTRACE_FILES'] ?? '/usr/lib/x86_64-linux-gnu/libc.so.6:/usr/bin/bash')
  .split(':')
  .filter((path) => existsSync(path));

/** A trampoline's distance from its function. */
const NEAR = 0x1000_0000;

describe.each(FILES)('the functions of %s', (path) => {
  it('take the jump, nine of ten at least, and all that is displaced can be moved', () => {
    const image = new FileImage(new ElfFile(readFileSync(path)));
    const counts = new Map<string, number>();
    const count = (verdict: string): unknown => counts.set(verdict, (counts.get(verdict) ?? 0) + 1);
    for (const around of image.functions) {
      const code = image.read(around.address, around.size);
      if (code === undefined || around.size === 0) {
        count('unknown-function');
        continue;
      }
      const { address } = around;
      const isEntry = (at: number): boolean => image.isEntry(at);
      const hasBranchInto = image.hasBranchInto.bind(image);
      const input = { address, image, function: around, isEntry, hasBranchInto };
      const placed = placeInFunction(input, around, analyseFunction(code, address, image));
      count(placed.kind === 'jump' ? 'jump' : placed.reason);
      if (placed.kind === 'jump') {
        expect(placed.length).toBeGreaterThanOrEqual(5);
        try {
          relocateAll(placed.displaced, address + NEAR);
        } catch (error) {
          expect(error).toBeInstanceOf(UnmovableInstruction);
          count('of these unmovable after all');
        }
      }
    }
    const total = image.functions.length;
    const text = [...counts]
      .toSorted((one, other) => other[1] - one[1])
      .map(([verdict, number]) => `${verdict} ${number}`);
    console.log(`${path}: ${total} functions: ${text.join(', ')}`);
    expect(counts.get('jump') ?? 0).toBeGreaterThan(total * 0.9);
    expect(counts.get('of these unmovable after all') ?? 0).toBeLessThan(total * 0.01);
  }, 600_000);

  it('have jumps at three of four returns at least, where all that is displaced can be moved', () => {
    const image = new FileImage(new ElfFile(readFileSync(path)));
    const counts = new Map<string, number>();
    const count = (verdict: string): unknown => counts.set(verdict, (counts.get(verdict) ?? 0) + 1);
    let total = 0;
    for (const { address } of image.functions) {
      const found = returnSites(image, address);
      count(found.kind === 'known' ? 'functions with known returns' : `functions with ${found.reason}`);
      for (const { placement, address: at } of found.kind === 'known' ? found.sites : []) {
        total += 1;
        count(placement.kind === 'jump' ? 'jump' : placement.reason);
        if (placement.kind !== 'jump') continue;
        expect(placement.length).toBeGreaterThanOrEqual(5);
        expect(placement.displaced.at(-1)?.address).toBe(at);
        expect(relocateAll(placement.displaced, address + NEAR).length).toBeGreaterThan(0);
      }
    }
    const text = [...counts]
      .toSorted((one, other) => other[1] - one[1])
      .map(([verdict, number]) => `${verdict} ${number}`);
    console.log(`${path}: ${total} returns: ${text.join(', ')}`);
    // Where functions are not aligned, as in some builds of Python, fewer have room behind their `ret`.
    expect(counts.get('jump') ?? 0).toBeGreaterThan(total * 0.75);
  }, 600_000);
});

const WITH_EXCEPTIONS = ['/usr/lib/x86_64-linux-gnu/libstdc++.so.6', '/usr/bin/gdb'].filter((path) =>
  existsSync(path),
);

describe.each(WITH_EXCEPTIONS)('the landing pads of %s', (path) => {
  it('are instructions of its functions', () => {
    const file = new ElfFile(readFileSync(path));
    const { addresses, unknown } = elfLandingPads(file, elfCodeRanges(file));
    expect(unknown).toEqual([]);
    expect(addresses.length).toBeGreaterThan(1000);
    const image = new FileImage(file);
    const beginnings = new Map<ImageFunction, Set<number>>();
    const strays = addresses.filter((pad) => {
      const around = image.functionAt(pad);
      const code = around === undefined ? undefined : image.read(around.address, around.size);
      if (around === undefined || code === undefined) return true;
      const known =
        beginnings.get(around) ??
        new Set(disassemble(code, around.address).instructions.map(({ address }) => address));
      beginnings.set(around, known);
      return !known.has(pad);
    });
    expect(strays).toEqual([]);
  }, 120_000);
});
