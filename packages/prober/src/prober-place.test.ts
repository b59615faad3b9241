import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { claimProberPlace, proberSocketPath } from './prober-place.ts';

let folder: string;
const at = (path: string) => ({
  uid: process.geteuid?.() ?? 0,
  environment: { USERTRACE_RUNTIME_DIR: path },
});

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'usertrace-place-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('claimProberPlace()', () => {
  it('is given to one, and to the following when that one is gone', () => {
    const first = claimProberPlace(at(folder));
    expect(first?.socketPath).toBe(join(folder, 'prober.socket'));
    expect(claimProberPlace(at(folder))).toBeUndefined();
    first?.release();
    const second = claimProberPlace(at(folder));
    expect(second).toBeDefined();
    second?.release();
  });

  it('takes away the socket of one that died', () => {
    writeFileSync(join(folder, 'prober.socket'), '');
    const claim = claimProberPlace(at(folder));
    expect(existsSync(join(folder, 'prober.socket'))).toBe(false);
    claim?.release();
  });
});

describe('proberSocketPath()', () => {
  it('refuses a path that would be cut', () => {
    const long = join(folder, 'x'.repeat(100));
    mkdirSync(long, { mode: 0o700 });
    expect(() => proberSocketPath(at(long))).toThrow(/has more than 107 bytes; name a shorter folder/);
  });
});
