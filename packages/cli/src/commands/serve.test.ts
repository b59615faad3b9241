/** The built command, mounting for real. */

import { type ChildProcess, spawn, spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, chownSync, constants, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const PROGRAM = fileURLToPath(new URL('../../bin/usertrace.js', import.meta.url));

function mayServe(): boolean {
  try {
    accessSync('/dev/fuse', constants.R_OK | constants.W_OK);
    return process.getuid?.() === 0;
  } catch {
    return false;
  }
}
const canServe = mayServe();
if (!canServe) console.warn('skipped: serving needs root and /dev/fuse');

const NOBODY = 65_534;
const AS_NOBODY = 'exec setpriv --reuid=65534 --regid=65534 --clear-groups --';

/** Makes another /dev with what Node needs, and a /dev/fuse of that mode; none without a mode. */
function otherDevices(fuseMode?: string): string {
  const fuse = fuseMode === undefined ? 'true' : `mknod -m ${fuseMode} /dev/fuse c 10 229`;
  return `mount -t tmpfs tmpfs /dev && mknod -m 666 /dev/null c 1 3 && mknod -m 444 /dev/urandom c 1 9 && ${fuse}`;
}

/** Arguments of unshare(1) to run a command in a mount namespace, after a preparation by sh(1). */
function elsewhere(preparation: string, ...command: string[]): string[] {
  const script = `${preparation} "$@"`;
  return ['--mount', '--propagation', 'private', 'sh', '-c', script, 'sh', ...command];
}

const asOrdinaryUser = `${otherDevices('666')} && ${AS_NOBODY}`;
const canServeOthers =
  canServe && spawnSync('unshare', elsewhere(asOrdinaryUser, 'fusermount3', '--version')).status === 0;
if (canServe && !canServeOthers) {
  console.warn('skipped: serving without root needs fusermount3 (package fuse3), unshare and setpriv');
}

let folder = '';
let first: ChildProcess;
beforeEach(async () => {
  if (!canServe) return;
  folder = mkdtempSync(join(tmpdir(), 'usertrace-serve-'));
  first = spawn(process.execPath, [PROGRAM, 'serve', '--mount', folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [said] = (await once(first.stdout!, 'data')) as [Buffer];
  expect(said.toString()).toBe(`usertrace: serving user_events at ${folder}\n`);
});
afterEach(() => {
  if (!canServe) return;
  first.kill('SIGKILL');
  spawnSync('umount', ['-l', folder]);
  rmSync(folder, { recursive: true });
});

function isMounted(): boolean {
  return readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${folder} `);
}

function call(...args: string[]): SpawnSyncReturns<string> {
  return spawnSync(process.execPath, [PROGRAM, ...args], { encoding: 'utf8', timeout: 60_000 });
}

describe.skipIf(!canServe)('usertrace serve', () => {
  it('unmounts and exits 0 when it is told to end', async () => {
    expect(isMounted()).toBe(true);
    first.kill('SIGTERM');
    expect(await once(first, 'exit')).toEqual([0, null]);
    expect(isMounted()).toBe(false);
  });

  it('refuses a folder where another one serves, and leaves that alone', () => {
    const second = spawnSync(process.execPath, [PROGRAM, 'serve', '--mount', folder], {
      encoding: 'utf8',
      timeout: 60_000,
    });
    expect(second.status).toBe(1);
    expect(second.stderr).toContain('another usertrace serves there');
    expect(second.stderr).toContain('--mount');
    expect(readFileSync(join(folder, 'user_events_status'), 'utf8')).toContain('Active: 0');
  });

  it('holds up no other command while it hangs', () => {
    first.kill('SIGSTOP');
    try {
      const look = call('status', '--mount', folder);
      expect(look.stderr).toContain(`the server of ${folder} does not answer`);
      expect(look.status).toBe(1);
      expect(call('run', '--quiet', '--mount', folder, '--', 'ls', folder)).toMatchObject({ status: 0 });
    } finally {
      first.kill('SIGCONT');
    }
    expect(call('status', '--mount', folder).stdout).toContain('0 active');
  });

  it('says which folder it cannot make', () => {
    const { status, stderr } = spawnSync(process.execPath, [PROGRAM, 'serve', '--mount', '/proc/x/y'], {
      encoding: 'utf8',
      timeout: 60_000,
    });
    expect(stderr).toContain('cannot make the folder /proc/x: ENOENT; choose another');
    expect(status).toBe(1);
  });

  it('takes no empty name for a folder', () => {
    const { status, stderr } = spawnSync(process.execPath, [PROGRAM, 'serve', '--mount', ''], {
      cwd: folder,
      encoding: 'utf8',
      timeout: 60_000,
    });
    expect(stderr).toContain('--mount');
    expect(status).toBe(1);
  });
});

describe.skipIf(!canServeOthers)('usertrace serve without root', () => {
  it('mounts and unmounts through fusermount3', async () => {
    const ownFolder = mkdtempSync(join(tmpdir(), 'usertrace-own-'));
    chownSync(ownFolder, NOBODY, NOBODY);
    const command = [process.execPath, PROGRAM, 'serve', '--mount', ownFolder];
    const server = spawn('unshare', elsewhere(asOrdinaryUser, ...command), {
      cwd: '/',
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const mounts = (): string => readFileSync(`/proc/${server.pid}/mountinfo`, 'utf8');
    try {
      const [said] = (await once(server.stdout, 'data')) as [Buffer];
      expect(said.toString()).toContain(`serving user_events at ${ownFolder}`);
      expect(mounts()).toContain(` ${ownFolder} `);
      const look = [`/proc/${server.pid}/root${ownFolder}/user_events_status`];
      const seen = spawnSync('cat', look, { uid: NOBODY, gid: NOBODY, encoding: 'utf8' });
      expect(`${seen.stdout}${seen.stderr}`).toContain('Active: 0');
      server.kill('SIGTERM');
      expect(await once(server, 'exit')).toEqual([0, null]);
    } finally {
      server.kill('SIGKILL');
      rmSync(ownFolder, { recursive: true });
    }
  });
});

describe.skipIf(!canServeOthers)('usertrace serve where it cannot', () => {
  it.each([
    ['there is no /dev/fuse', `${otherDevices()} && exec`, 'there is no FUSE here', '--device /dev/fuse'],
    ['/dev/fuse is closed', `${otherDevices('600')} && ${AS_NOBODY}`, 'this user may not', 'chmod 0666'],
    ['the folder is of others', asOrdinaryUser, 'fusermount3: ', 'usertrace run'],
  ])('says so when %s, and what would help', (_, preparation, refused, remedy) => {
    const command = [process.execPath, PROGRAM, 'serve', '--mount', tmpdir()];
    const { status, stderr } = spawnSync('unshare', elsewhere(preparation, ...command), {
      cwd: '/',
      encoding: 'utf8',
      timeout: 60_000,
    });
    expect(stderr).toContain(refused);
    expect(stderr).toContain(remedy);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(status).toBe(1);
  });
});
