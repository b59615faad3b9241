import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { nodeFiles } from './file-port.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'usertrace-files-'));
});

afterEach(() => {
  rmSync(folder, { recursive: true });
});

describe('nodeFiles()', () => {
  it('refuses what has no positions, and does not wait for it', () => {
    const pipe = join(folder, 'pipe');
    execFileSync('mkfifo', [pipe]);
    const files = nodeFiles();
    for (const path of [pipe, '/dev/zero', folder])
      expect(() => files.openToRead(path)).toThrow(/not a regular file/);
    for (const path of [pipe, '/dev/null']) {
      expect(() => files.openToChange(path)).toThrow(/not a regular file/);
      expect(() => files.create(path)).toThrow(/not a regular file/);
    }
  });

  it('leaves a file as it is that another writes', () => {
    const path = join(folder, 'file');
    writeFileSync(path, 'theirs');
    const files = nodeFiles({ claim: () => false });
    expect(() => files.create(path)).toThrow(/another program/);
    expect(() => files.openToChange(path)).toThrow(/another program/);
    expect(readFileSync(path, 'utf8')).toBe('theirs');
    nodeFiles({ claim: () => true })
      .create(path)
      .close();
    expect(readFileSync(path, 'utf8')).toBe('');
  });
});
