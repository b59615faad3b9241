import { ErrnoError } from '@usertrace/base';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Failure } from '../failure.ts';
import { checkCommand, exitCodeOf, exitCodeOfStartError } from './command.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'usertrace-command-'));
  mkdirSync(join(folder, 'first'));
  mkdirSync(join(folder, 'second'));
  mkdirSync(join(folder, 'second/a-folder'));
  writeFileSync(join(folder, 'first/tool'), 'text');
  writeFileSync(join(folder, 'second/tool'), '#!/bin/sh\n');
  chmodSync(join(folder, 'second/tool'), 0o755);
  writeFileSync(join(folder, 'second/text'), 'text');
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

function exitCodeFor(name: string): number {
  try {
    checkCommand(name, `${folder}/first:${folder}/second`);
    return 0;
  } catch (error) {
    return (error as Failure).exitCode;
  }
}

describe('checkCommand()', () => {
  it('finds a command by name or by path', () => {
    expect(exitCodeFor('tool')).toBe(0);
    expect(exitCodeFor(`${folder}/second/tool`)).toBe(0);
  });

  it('answers 127 for what is nowhere', () => {
    expect(exitCodeFor('nothing')).toBe(127);
    expect(exitCodeFor('./nothing')).toBe(127);
    expect(exitCodeFor('')).toBe(127);
    expect(exitCodeFor(`${folder}/first/tool/below`)).toBe(127);
  });

  it('answers 126 for what is no program', () => {
    expect(exitCodeFor('text')).toBe(126);
    expect(exitCodeFor('a-folder')).toBe(126);
    expect(exitCodeFor(folder)).toBe(126);
  });
});

describe('exitCodeOf()', () => {
  it('is the code of the process, or 128 and the signal', () => {
    expect(exitCodeOf({ code: 3, signal: null })).toBe(3);
    expect(exitCodeOf({ code: null, signal: 'SIGTERM' })).toBe(143);
    expect(exitCodeOf({ code: null, signal: 'SIGKILL' })).toBe(137);
  });
});

describe('exitCodeOfStartError()', () => {
  it('tells a missing interpreter from a refusal', () => {
    expect(exitCodeOfStartError(new ErrnoError('ENOENT', 'spawn'))).toBe(127);
    expect(exitCodeOfStartError(new ErrnoError('EACCES', 'spawn'))).toBe(126);
  });
});
