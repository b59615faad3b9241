import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { programFiles } from './program-files.ts';

it('a path is taken as it is', () => {
  expect(programFiles('./missing')).toEqual(['./missing']);
  expect(programFiles('/bin/sh', '/nowhere')).toEqual(['/bin/sh']);
});

it('a name is looked for in the folders, in order, where it may be executed', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'usertrace-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  for (const name of ['sh', 'text']) writeFileSync(path.join(folder, name), '');
  chmodSync(path.join(folder, 'sh'), 0o755);
  chmodSync(path.join(folder, 'text'), 0o644);
  expect(programFiles('sh', `/nowhere:${folder}:/bin`)).toEqual([path.join(folder, 'sh'), '/bin/sh']);
  expect(programFiles('no-such-program-anywhere', folder)).toEqual([]);
  expect(programFiles('sh')).toContain('/bin/sh');
});
