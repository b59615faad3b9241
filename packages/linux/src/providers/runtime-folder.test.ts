import { chmodSync, lstatSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  findRuntimeFolders,
  makeRuntimeFolder,
  parseProviderFileName,
  providerFileName,
  runtimeFolderCandidates,
} from './runtime-folder.ts';

let above: string;
const uid = process.getuid?.() ?? 0;
const at = (name: string) => ({ uid, environment: { USERTRACE_RUNTIME_DIR: join(above, name) } });

beforeEach(() => {
  above = mkdtempSync(join(tmpdir(), 'usertrace-folders-'));
});
afterEach(() => rmSync(above, { recursive: true }));

describe('makeRuntimeFolder()', () => {
  it('makes a folder that only its user may enter, and takes it again', () => {
    const path = makeRuntimeFolder(at('mine'));
    expect(lstatSync(path).mode & 0o7777).toBe(0o700);
    expect(makeRuntimeFolder(at('mine'))).toBe(path);
    expect(findRuntimeFolders(at('mine'))).toEqual([{ path, uid }]);
  });

  it('refuses what is not such a folder, and says what is wrong with it', () => {
    mkdirSync(join(above, 'open'));
    chmodSync(join(above, 'open'), 0o750);
    mkdirSync(join(above, 'real'), { mode: 0o700 });
    symlinkSync(join(above, 'real'), join(above, 'link'));
    writeFileSync(join(above, 'file'), '');
    expect(() => makeRuntimeFolder(at('open'))).toThrow(/open has mode 0750, which lets others in/);
    expect(() => makeRuntimeFolder(at('link'))).toThrow(/link is not a folder/);
    expect(() => makeRuntimeFolder(at('file'))).toThrow(/file is not a folder/);
    expect(() => makeRuntimeFolder(at('no/such'))).toThrow(/cannot make .*no\/such/);
    const other = { uid: uid + 1, environment: { USERTRACE_RUNTIME_DIR: join(above, 'real') } };
    expect(() => makeRuntimeFolder(other)).toThrow(/belongs to user/);
    for (const name of ['open', 'link', 'file', 'none']) expect(findRuntimeFolders(at(name))).toEqual([]);
  });
});

describe('runtimeFolderCandidates()', () => {
  it('prefers memory to disk, unless somebody names a folder', () => {
    expect(runtimeFolderCandidates({ uid: 7, environment: { XDG_RUNTIME_DIR: '/run/user/7' } })).toEqual([
      '/dev/shm/usertrace-7',
      '/run/user/7/usertrace',
      '/tmp/usertrace-7',
    ]);
    expect(runtimeFolderCandidates(at('x'))).toEqual([join(above, 'x')]);
  });
});

describe('a provider file name', () => {
  it('is read as it was made', () => {
    expect(parseProviderFileName(providerFileName(12, 34, 0xabcn))).toEqual({
      pid: 12,
      tid: 34,
      madeAt: 0xabc,
    });
    for (const name of ['tracing', '12-34', '12-34-xyz', '-1-2-3', '12-34-a.tmp', '']) {
      expect(parseProviderFileName(name)).toBeUndefined();
    }
  });
});
