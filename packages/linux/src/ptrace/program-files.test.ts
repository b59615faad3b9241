import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { programFiles } from './program-files.ts';

function folder(): string {
  const made = mkdtempSync(path.join(tmpdir(), 'usertrace-test-'));
  onTestFinished(() => rmSync(made, { recursive: true }));
  return made;
}

const texts = (files: Buffer[]): string[] => files.map((file) => file.toString());

it('a path is taken as it is', () => {
  expect(texts(programFiles('./missing'))).toEqual(['./missing']);
  expect(texts(programFiles('/bin/sh', '/nowhere'))).toEqual(['/bin/sh']);
});

it('a name is looked for in the folders, in order, where it may be executed', () => {
  const own = folder();
  for (const name of ['sh', 'text']) writeFileSync(path.join(own, name), '');
  chmodSync(path.join(own, 'sh'), 0o755);
  chmodSync(path.join(own, 'text'), 0o644);
  expect(texts(programFiles('sh', `/nowhere:${own}:/bin`))).toEqual([path.join(own, 'sh'), '/bin/sh']);
  expect(texts(programFiles('no-such-program-anywhere', own))).toEqual([]);
  expect(texts(programFiles('sh'))).toContain('/bin/sh');
});

it('names of files and folders need not be UTF-8', () => {
  const inside = Buffer.concat([Buffer.from(`${folder()}/`), Buffer.of(0xff, 0xe9)]);
  const name = Buffer.of(0x61, 0x80);
  const file = Buffer.concat([inside, Buffer.from('/'), name]);
  mkdirSync(inside);
  writeFileSync(file, '');
  chmodSync(file, 0o755);
  expect(programFiles(name, Buffer.concat([Buffer.from('/nowhere:'), inside]))).toEqual([file]);
  expect(programFiles('a\uFFFD', inside)).toEqual([]);
});
