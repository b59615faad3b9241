import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { ERRNO } from '@usertrace/base';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { libc } from '../bindings.ts';
import { readDescriptor, writeDescriptor } from '../descriptor.ts';
import { mountFuse } from './fuse-mount.ts';
import { MountError } from './mount-error.ts';
import { mountedAt } from './mount-table.ts';
import { answersAt } from './silent-mount.ts';

const OPTIONS = { rootMode: 0o755, allowOther: false, mayCover: false };
const MNT_DETACH = 2;

/** A program that takes the requests out of its descriptor 3, and does nothing with them. */
const TAKER = `
  const request = Buffer.alloc(1 << 17);
  setInterval(() => { try { require('fs').readSync(3, request); } catch {} }, 2);
  console.log('ready');`;

function maySeeFuse(): boolean {
  try {
    accessSync('/dev/fuse', constants.R_OK | constants.W_OK);
    return libc().geteuid() === 0;
  } catch {
    return false;
  }
}
const canMount = maySeeFuse();
if (!canMount) console.warn('skipped: mounting needs root and /dev/fuse');

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'usertrace test-'));
});
afterEach(() => {
  while (libc().umount2(directory, MNT_DETACH) === 0);
  rmSync(directory, { recursive: true });
});

describe.skipIf(!canMount)('mountFuse()', () => {
  it('mounts, so that the first request to read is FUSE_INIT, and unmounts', () => {
    const descriptors = readdirSync('/proc/self/fd').length;
    const mount = mountFuse(directory, OPTIONS);
    expect(mountedAt(directory)).toEqual({
      mountPoint: directory,
      type: 'fuse.usertrace',
      source: 'usertrace',
    });
    const request = Buffer.alloc(1 << 17);
    expect(readDescriptor(mount.fd, request, request.length)).toBe(request.readUInt32LE(0));
    expect(request.readUInt32LE(4)).toBe(26);
    expect(readDescriptor(mount.fd, request, request.length)).toBe(-ERRNO.EAGAIN);
    mount.unmount();
    mount.close();
    expect(mountedAt(directory)).toBeUndefined();
    expect(readdirSync('/proc/self/fd').length).toBe(descriptors);
  });

  it('takes off what a crashed server left there', () => {
    for (let i = 0; i < 2; i++) mountFuse(directory, OPTIONS).close();
    expect(() => statSync(directory)).toThrow('ENOTCONN');
    const mount = mountFuse(directory, OPTIONS);
    mount.unmount();
    mount.close();
    expect(mountedAt(directory)).toBeUndefined();
    expect(statSync(directory).isDirectory()).toBe(true);
  });
});

describe.skipIf(!canMount)('mountFuse() where a server does not answer', () => {
  it('says so after a while, and waits for nothing when it may cover it', () => {
    // Nobody reads its requests.
    const silent = mountFuse(directory, OPTIONS);
    const covers = [];
    try {
      expect(() => mountFuse(directory, OPTIONS)).toThrow(/does not answer.*umount -l/);
      expect(answersAt(directory)).toBe(false);
      covers.push(mountFuse(directory, { ...OPTIONS, mayCover: true }));
    } finally {
      for (const mount of [...covers, silent]) {
        mount.unmount();
        mount.close();
      }
    }
    expect(mountedAt(directory)).toBeUndefined();
    expect(answersAt(directory)).toBe(true);
    expect(answersAt(join(directory, 'missing'))).toBe(true);
  });

  it('is not held up for good by one that took the request', async () => {
    const silent = mountFuse(directory, OPTIONS);
    const request = Buffer.alloc(1 << 17);
    readDescriptor(silent.fd, request, request.length);
    const initialised = Buffer.alloc(16 + 64);
    initialised.writeUInt32LE(initialised.length);
    request.copy(initialised, 8, 8, 16);
    initialised.writeUInt32LE(7, 16);
    initialised.writeUInt32LE(31, 20);
    expect(writeDescriptor(silent.fd, initialised, initialised.length)).toBe(initialised.length);
    const taker = spawn(process.execPath, ['-e', TAKER], { stdio: ['ignore', 'pipe', 'ignore', silent.fd] });
    try {
      await once(taker.stdout as Readable, 'data');
      const descriptors = readdirSync('/proc/self/fd').length;
      expect(() => mountFuse(directory, OPTIONS)).toThrow('ETIMEDOUT');
      expect(readdirSync('/proc/self/fd').length).toBe(descriptors);
    } finally {
      silent.unmount();
      silent.close();
      taker.kill('SIGKILL');
    }
  });
});

describe('mountFuse()', () => {
  it('says what is wrong with the directory', () => {
    const missing = join(directory, 'missing');
    expect(() => mountFuse(missing, OPTIONS)).toThrow(MountError);
    expect(() => mountFuse(missing, OPTIONS)).toThrow(`mkdir -p "${missing}"`);
    const file = join(directory, 'file');
    writeFileSync(file, '');
    expect(() => mountFuse(file, OPTIONS)).toThrow('ENOTDIR');
  });
});
