import { PROVIDER_HEADER, PROVIDER_LOCK, PROVIDER_OFFSET, STANDING_SESSION } from '@usertrace/abi';
import { eventMatcher } from '@usertrace/base';
import { startTicksOf, tryLockByte, unlockByte } from '@usertrace/linux';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  openSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ProviderFile } from './provider-file.ts';
import { listProviders } from './provider-search.ts';
import { ProviderSession, purgeSessions, type SessionRequest, switchStanding } from './provider-session.ts';
import { readSessions } from './session-slots.ts';
import { makeFolder, removeFolder, SimulatedProvider, surroundingsOf } from './provider.sim.ts';

const UID = process.getuid?.() ?? 0;
const KERNEL_BIT = -0x8000_0000;

let folder: string;
let provider: SimulatedProvider;
const files: ProviderFile[] = [];

function open(access: 'read' | 'change' = 'change'): ProviderFile {
  const file = ProviderFile.open(provider.path, UID, access);
  files.push(file);
  return file;
}

function request(pattern: string, mode: 'overwrite' | 'discard' = 'overwrite'): SessionRequest {
  return { patterns: [pattern], matches: eventMatcher(pattern), mode };
}

function attach(pattern: string): ProviderSession {
  const session = ProviderSession.attach(open(), request(pattern), 0);
  if (typeof session === 'string') throw new Error(session);
  return session;
}

function words(...events: number[]): number[] {
  return events.map((event) => provider.word(event));
}

beforeEach(() => {
  folder = makeFolder();
  provider = new SimulatedProvider(folder);
  provider.declare('http_request u32 number');
  provider.declare('http_reply u32 number');
  provider.declare('tick');
});

afterEach(() => {
  for (const file of files.splice(0)) file.close();
  provider.die();
  removeFolder(folder);
});

describe('ProviderFile', () => {
  it('goes when it is discarded, and stays for a process that runs, of no use to anybody', () => {
    open().discard();
    expect(existsSync(provider.path)).toBe(false);
    provider.die();
    provider = new SimulatedProvider(folder, process.pid, 16, startTicksOf('self'));
    open().discard();
    expect(open('read').header().hasEnded).toBe(true);
  });

  it('reads who made it and what events it has', () => {
    const file = open('read');
    expect(file.opened).toMatchObject({
      pid: process.pid,
      tid: process.pid,
      comm: 'simulated',
      pageCount: 0,
    });
    expect(file.events().map(({ id, name }) => [id, name])).toEqual([
      [1024, 'http_request'],
      [1025, 'http_reply'],
      [1026, 'tick'],
    ]);
    expect(file.isAlive).toBe(true);
    provider.die();
    expect(file.isAlive).toBe(false);
  });

  it('finds events that are declared later', () => {
    const file = open('read');
    expect(file.events()).toHaveLength(3);
    provider.declare('late');
    expect(file.events().at(-1)?.name).toBe('late');
  });

  it.each([
    ['is of another version', PROVIDER_HEADER.version, 9, /version 9.*use the usertrace that came/],
    ['does not begin as one', PROVIDER_HEADER.magic, 0x41414141, /does not begin as one/],
    ['has too many events', PROVIDER_HEADER.eventCount, 1e9, /1000000000 events/],
    ['has more events than its table', PROVIDER_HEADER.eventCount, 4, /does not hold 4 events/],
    ['has a lane of two pages', PROVIDER_HEADER.pageCount, 2, /2 pages/],
    ['has no thread', PROVIDER_HEADER.tid, 0, /thread 0/],
  ])('refuses a file that %s', (_, offset, value, message) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    writeSync(openSync(provider.path, 'r+'), bytes, 0, 4, offset);
    expect(() => open('read').events()).toThrow(message);
    expect(() => open('read').events()).toThrow(/^Cannot read provider file \/.*E[A-Z]+\)$/);
  });

  it('refuses what is no file of its own', () => {
    const other = join(folder, '1-1-1');
    symlinkSync(provider.path, other);
    expect(() => ProviderFile.open(other, UID)).toThrow(/symbolic link/);
    expect(() => ProviderFile.open(folder, UID)).toThrow(/not a regular file/);
    expect(() => ProviderFile.open(provider.path, UID + 1)).toThrow(/owns it/);
    expect(() => ProviderFile.open(join(folder, 'none'), UID)).toThrow(/ENOENT/);
  });

  it('says that a file is cut off, or still being made', () => {
    truncateSync(provider.path, PROVIDER_OFFSET.events);
    expect(() => open('read').events()).toThrow(/ends at byte 65536/);
    truncateSync(provider.path, 10);
    expect(() => open('read')).toThrow(/ends at byte 10/);
    const empty = join(folder, '1-1-1');
    writeFileSync(empty, Buffer.alloc(4096));
    expect(() => ProviderFile.open(empty, UID)).toThrow(/still being made; try again \(EAGAIN\)/);
  });
});

describe('listProviders()', () => {
  it('lists provider files of a folder that only its owner may enter', () => {
    writeFileSync(join(folder, 'something else'), '');
    mkdirSync(join(folder, 'folder'));
    expect(listProviders(surroundingsOf(folder)).map(({ path }) => path)).toEqual([provider.path]);
    chmodSync(folder, 0o755);
    expect(listProviders(surroundingsOf(folder))).toEqual([]);
  });
});

describe('ProviderSession', () => {
  it('switches the wanted events on while it is attached, and no others', () => {
    const session = attach('http_*');
    expect(words(0, 1, 2)).toEqual([1, 1, 0]);
    const second = attach('http_reply');
    expect(words(0, 1, 2)).toEqual([1, 2, 0]);
    expect(session.detach()).toBe(true);
    expect(words(0, 1, 2)).toEqual([0, 1, 0]);
    expect(second.detach()).toBe(true);
    expect(words(0, 1, 2)).toEqual([0, 0, 0]);
    expect(provider.sessionChanges).toBe(4);
  });

  it('leaves the other bytes of a word alone', () => {
    provider.setWord(0, KERNEL_BIT);
    const session = attach('*');
    expect(provider.word(0)).toBe(KERNEL_BIT + 1);
    session.detach();
    expect(provider.word(0)).toBe(KERNEL_BIT);
  });

  it('switches on what is declared later', () => {
    const session = attach('http_*');
    provider.declare('http_error');
    provider.declare('other');
    expect(session.update()).toBe(true);
    expect(words(2, 3, 4)).toEqual([0, 1, 0]);
  });

  it('sees to events that are declared while it begins, for all sessions', () => {
    const other = attach('late*');
    switchStanding(open(), request('late_2'), true);
    let hasDeclared = false;
    const matches = (_: string, event: string): boolean => {
      // Asked under the control lock, when the program cannot see to its events itself.
      if (!hasDeclared) for (const name of ['late_1', 'late_2', 'tock']) provider.declare(name);
      hasDeclared = true;
      return event.startsWith('t');
    };
    const session = ProviderSession.attach(open(), { patterns: ['t*'], matches, mode: 'overwrite' }, 0);
    if (typeof session === 'string') throw new Error(session);
    expect(words(0, 2, 3, 4, 5)).toEqual([0, 1, 1, 2, 1]);
    expect([session.update(), other.update()]).toEqual([true, true]);
    expect(words(0, 2, 3, 4, 5)).toEqual([0, 1, 1, 2, 1]);
  });

  it('is over when its tracer dies, for the next one who looks', () => {
    const session = attach('http_*');
    session.file.close();
    expect(words(0, 1)).toEqual([1, 1]);
    const other = attach('tick');
    expect(words(0, 1, 2)).toEqual([0, 0, 1]);
    other.file.close();
    expect(purgeSessions(open())).toBe(true);
    expect(words(0, 1, 2)).toEqual([0, 0, 0]);
    expect(readSessions(open('read'))).toEqual([]);
  });

  it('does nothing while another tool holds the lock', () => {
    const holder = openSync(provider.path, 'r+');
    expect(tryLockByte(holder, PROVIDER_LOCK.control)).toBe(true);
    const file = open();
    expect(ProviderSession.attach(file, request('*'), 0)).toBe('busy');
    expect(words(0, 1, 2)).toEqual([0, 0, 0]);
    unlockByte(holder, PROVIDER_LOCK.control);
    expect(ProviderSession.attach(file, request('*'), 0)).toBeInstanceOf(ProviderSession);
  });

  it('is refused when there are as many as there can be', () => {
    const sessions = Array.from({ length: STANDING_SESSION }, () => attach('tick'));
    expect(provider.word(2)).toBe(STANDING_SESSION);
    expect(ProviderSession.attach(open(), request('*'), 0)).toBe('full');
    sessions[3]?.file.close();
    expect(ProviderSession.attach(open(), request('*'), 0)).toBeInstanceOf(ProviderSession);
    expect(provider.word(2)).toBe(STANDING_SESSION);
  });

  it('makes good what an interrupted change has left', () => {
    provider.setWord(0, 77);
    provider.setWord(2, KERNEL_BIT + 5);
    expect(purgeSessions(open())).toBe(true);
    expect(words(0, 1, 2)).toEqual([0, 0, KERNEL_BIT]);
  });
});

describe('switchStanding()', () => {
  it('outlives its tool, and ends when everything is switched off', () => {
    const on = switchStanding(open(), request('http_*'), true);
    expect(on).toMatchObject([{ name: 'http_request' }, { name: 'http_reply' }]);
    for (const file of files.splice(0)) file.close();
    expect(purgeSessions(open())).toBe(true);
    expect(words(0, 1, 2)).toEqual([1, 1, 0]);
    expect(readSessions(open('read'))).toMatchObject([{ slot: STANDING_SESSION, patterns: ['http_*'] }]);
    expect(switchStanding(open(), request('http_reply'), false)).toHaveLength(1);
    expect(words(0, 1, 2)).toEqual([1, 0, 0]);
    switchStanding(open(), request('*'), false);
    expect(words(0, 1, 2)).toEqual([0, 0, 0]);
    expect(readSessions(open('read'))).toEqual([]);
  });
});
