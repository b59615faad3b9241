import { ErrnoError } from '@usertrace/base';
import { chmodSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Surroundings, defaultMount, findTree, prepareMount } from './find.ts';

function surroundings(trees: readonly string[], more: Partial<Surroundings> = {}): Surroundings {
  return {
    uid: 0,
    environment: {},
    exists: (path) => trees.some((tree) => path === `${tree}/user_events_data`),
    ...more,
  };
}

describe('defaultMount()', () => {
  it('depends on who asks', () => {
    expect(defaultMount({ uid: 0, environment: { XDG_RUNTIME_DIR: '/run/user/0' } })).toBe(
      '/run/usertrace/tracing',
    );
    expect(defaultMount({ uid: 7, environment: { XDG_RUNTIME_DIR: '/run/user/7' } })).toBe(
      '/run/user/7/usertrace/tracing',
    );
    expect(defaultMount({ uid: 7, environment: {} })).toBe('/tmp/usertrace-7/tracing');
  });
});

describe('findTree()', () => {
  it('takes what was named before anything else', () => {
    const all = ['/a', '/b', '/run/usertrace/tracing', '/sys/kernel/tracing'];
    const environment = { USERTRACE_MOUNT: '/b' };
    expect(findTree({ mount: '/a' }, surroundings(all, { environment }))).toBe('/a');
    expect(findTree({}, surroundings(all, { environment }))).toBe('/b');
    expect(findTree({}, surroundings(all))).toBe('/run/usertrace/tracing');
    expect(findTree({}, surroundings(['/sys/kernel/tracing']))).toBe('/sys/kernel/tracing');
  });

  it('looks through the eyes of a process', () => {
    const tree = '/proc/12/root/sys/kernel/tracing';
    expect(findTree({ pid: 12 }, surroundings([tree]))).toBe(tree);
    expect(() => findTree({ pid: 13 }, surroundings([tree]))).toThrow(/\/proc\/13\/.*a program that runs/);
  });

  it('never takes another tree when the named one is missing', () => {
    expect(() => findTree({ mount: '/a' }, surroundings(['/sys/kernel/tracing']))).toThrow(
      '/a has no user_events_data',
    );
  });

  it('says where it looked and what would help when there is none', () => {
    expect(() => findTree({}, surroundings([], { uid: 5 }))).toThrow(
      /\/tmp\/usertrace-5\/tracing has no user_events_data; \/sys\/kernel\/tracing has .*usertrace serve/,
    );
  });

  it.each([
    ['ENOTCONN', 'has died'],
    ['EACCES', 'not yours'],
  ] as const)('tells %s apart', (code, text) => {
    const exists = () => {
      throw new ErrnoError(code, 'lstat');
    };
    expect(() => findTree({ mount: '/a' }, surroundings([], { exists }))).toThrow(text);
  });
});

describe('prepareMount()', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'usertrace-find-'));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  it('makes a private place for its owner alone, and takes one that is there', () => {
    const mount = join(folder, 'x/tracing');
    prepareMount(mount, true);
    prepareMount(mount, true);
    expect(statSync(mount).isDirectory()).toBe(true);
    expect(statSync(join(folder, 'x')).mode & 0o777).toBe(0o700);
  });

  it('says which folder cannot be made, and what would help', () => {
    expect(() => prepareMount('/proc/usertrace/tracing', false)).toThrow(
      /cannot make the folder \/proc\/usertrace: ENOENT; choose another with --mount/,
    );
  });

  it('refuses a private place that others may change', () => {
    chmodSync(folder, 0o777);
    expect(() => prepareMount(join(folder, 'tracing'), true)).toThrow('only you may change');
  });
});
