import { DefinitionRefusal } from '@usertrace/uprobes';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Probe } from './probe.ts';
import { ProbeSet } from './probe-set.ts';
import { ProberPeer } from './prober-peer.ts';
import { SymbolFiles } from './symbol-files.ts';

let folder: string;
let set: ProbeSet;
let busy: Probe | undefined;
let removed: string[];
const peer = new ProberPeer(1, () => undefined);
const forAll = { scope: { kind: 'all' }, owner: undefined } as const;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'usertrace-probes-'));
  writeFileSync(join(folder, 'program'), 'no ELF file');
  chmodSync(join(folder, 'program'), 0o755);
  busy = undefined;
  removed = [];
  set = new ProbeSet(new SymbolFiles(), {
    isBusy: (probe) => probe === busy,
    added: () => undefined,
    removed: (probe) => removed.push(probe.line),
  });
});
afterEach(() => rmSync(folder, { recursive: true }));

const isKept = ({ owner }: Probe): boolean => owner === undefined;
const lines = (): string[] => set.all.map(({ line }) => line);

describe('ProbeSet', () => {
  it('finds relative paths in the folder of who asks, and lists them as they were typed', () => {
    const probe = set.add('p:g/e ./program:0x10', folder, forAll);
    expect(probe.filePath).toBe(join(folder, 'program'));
    expect(probe.line).toBe('p:g/e ./program:0x0000000000000010');
  });

  it('adds only what puts a probe', () => {
    for (const text of ['-:g/e', '', '# p:g/e ./program:0x10', 'x ./program:0x10'])
      expect(() => set.add(text, folder, forAll)).toThrow(DefinitionRefusal);
    expect(lines()).toEqual([]);
  });

  it('removes by name what may be removed, all that are meant or none', () => {
    set.add('p:g/a ./program:0x10', folder, forAll);
    busy = set.add('p:g/b ./program:0x20', folder, forAll);
    set.add('p:h/a ./program:0x30', folder, { ...forAll, owner: peer });
    expect(() => set.removeMatching('g:*', isKept)).toThrow(expect.objectContaining({ code: 'EBUSY' }));
    expect(lines()).toHaveLength(3);
    expect(set.removeMatching('a', isKept)).toEqual(['g:a']);
    expect(() => set.removeMatching('a', isKept)).toThrow(expect.objectContaining({ code: 'ENOENT' }));
    expect(lines()).toHaveLength(2);
  });

  it('drops the probes of one owner alone, in use or not, though others feed the same event', () => {
    const own = set.add('p:g/e ./program:0x10 a=%di', folder, { ...forAll, owner: peer });
    set.add('p:g/e ./program:0x20 a=%di', folder, forAll);
    busy = own;
    set.drop([own]);
    expect(removed).toEqual([own.line]);
    expect(lines()).toEqual(['p:g/e ./program:0x0000000000000020 a=%di']);
  });

  it('does what lines of uprobe_events say', () => {
    set.execute('p:g/e ./program:0x10', folder, peer);
    set.execute('-:g/e', folder, peer);
    expect(lines()).toEqual([]);
    set.execute('p ./program:0x10', folder, peer);
    set.clear();
    expect(lines()).toEqual([]);
  });
});
