import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { makeFolder } from './folder.ts';

const folder = mkdtempSync(join(tmpdir(), 'usertrace-folder-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('makeFolder()', () => {
  it('makes all that is missing, with the mode that was asked for', () => {
    makeFolder(join(folder, 'a/b/c'), 0o700);
    expect(statSync(join(folder, 'a')).mode & 0o777).toBe(0o700);
    makeFolder(join(folder, 'a/b/c'), 0o777);
    expect(statSync(join(folder, 'a/b/c')).mode & 0o777).toBe(0o700);
  });

  it('ends where nobody can make one, and says why', () => {
    expect(() => makeFolder('/proc/no-such/folder')).toThrow(/ENOENT/);
    writeFileSync(join(folder, 'file'), '');
    expect(() => makeFolder(join(folder, 'file/below'))).toThrow(/ENOTDIR/);
    expect(existsSync(join(folder, 'file'))).toBe(true);
  });
});
