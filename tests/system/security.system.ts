/** Who may do what: other users, other processes' memory, and limits. */
import { chmod } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { cProgram } from '../support/c-programs.ts';
import { finish } from '../support/child.ts';
import { delay } from '../support/wait.ts';
import {
  endedWithin,
  finishAsOrdinaryUser,
  needs,
  runProgram,
  SERVER_NEEDS,
  startProgram,
  startServer,
} from './fixture.ts';

const EVENT_LIMIT = 32_768;
const PERSIST = '1';
/** How long a call that does not end is watched. */
const BLOCKED_MS = 300;
const STOPS = 5;

describe('another user', () => {
  test('another user can neither read, enable nor register', async (context) => {
    needs(context, ...SERVER_NEEDS, 'setpriv');
    const server = await startServer();
    const owned = startProgram('word-holder', server.root, 'plain', 'owned u32 value');
    await owned.line(/^ready /);
    for (const script of [
      'ls $ROOT',
      'cat $ROOT/trace',
      'cat $ROOT/user_events_status',
      'echo 1 > $ROOT/events/user_events/owned/enable',
      'echo u:mine >> $ROOT/dynamic_events',
    ]) {
      const { status, stderr } = await finishAsOrdinaryUser('env', `ROOT=${server.root}`, 'sh', '-c', script);
      expect(status, script).not.toBe(0);
      expect(stderr, script).toMatch(/Permission denied/);
    }
    const register = cProgram('tests/programs/register-once.c');
    expect((await finishAsOrdinaryUser(register, server.root, '0', 'mine')).stdout).toBe('open EACCES\n');
    expect(await server.read('dynamic_events')).toBe('u:owned u32 value\n');
  });

  test('another user may register where the mode lets it, but keep no event and enable none', async (context) => {
    needs(context, ...SERVER_NEEDS, 'setpriv');
    const server = await startServer();
    await chmod(server.root, 0o755);
    await chmod(server.path('user_events_data'), 0o666);
    const register = cProgram('tests/programs/register-once.c');
    expect((await finishAsOrdinaryUser(register, server.root, '0', 'mine')).stdout).toBe('index 0\n');
    expect((await finishAsOrdinaryUser(register, server.root, PERSIST, 'mine')).stdout).toBe('EPERM\n');
    expect((await runProgram('register-once', server.root, PERSIST, 'kept')).stdout).toBe('index 0\n');
    const enable = `echo 1 > ${server.path('events/user_events/kept/enable')}`;
    expect((await finishAsOrdinaryUser('sh', '-c', enable)).stderr).toMatch(/Permission denied/);
    expect(await server.read('events/user_events/kept/enable')).toBe('0\n');
  });
});

describe('a caller that is unusual', () => {
  test('may be in thousands of groups', async (context) => {
    needs(context, ...SERVER_NEEDS, 'setpriv');
    const server = await startServer();
    await chmod(server.root, 0o755);
    await chmod(server.path('user_events_data'), 0o666);
    const register = cProgram('tests/programs/register-once.c');
    const groups = Array.from({ length: 8000 }, (_, index) => 100_000 + index).join(',');
    const asMember = (uid: number, flags: string) => [
      `--reuid=${uid}`,
      '--regid=65534',
      `--groups=${groups}`,
      '--',
      register,
      server.root,
      flags,
      'mine',
    ];
    expect((await finish('setpriv', asMember(65_534, '0'))).stdout).toBe('index 0\n');
    expect((await finish('setpriv', asMember(65_534, PERSIST))).stdout).toBe('EPERM\n');
    expect((await finish('setpriv', asMember(0, PERSIST))).stdout).toBe('index 0\n');
  });

  test('may exec with the file open, for its close waits for no answer', async (context) => {
    needs(context, ...SERVER_NEEDS);
    // Without the process connector, which belongs to the first network namespace, the server looks at its tasks with
    // each request. If exec waited for it then, under the lock that looking takes, both would wait for ever. The kernel
    // asks once whether a close concerns the server: nothing else of the tree may be closed before.
    const server = await startServer({ node: ['unshare', '--net', process.execPath] });
    const chain = startProgram('exec-chain', server.root, '100');
    expect(await chain.line(/^done$/)).toBe('done');
    expect(await server.read('user_events_status')).toContain('Active: 0');
  });

  test.for(['trace_marker', 'user_events_data'])(
    'stops no other writer to %s when its memory never comes in',
    async (file, context) => {
      needs(context, ...SERVER_NEEDS);
      const server = await startServer();
      const stuck = startProgram('stuck-caller', 'write', server.path(file));
      await stuck.line(/^calling$/);
      await delay(BLOCKED_MS);
      expect(stuck.lines).toEqual(['calling']);
      await server.append('trace_marker', 'not stuck\n');
      expect(await server.read('trace')).toContain('tracing_mark_write: not stuck');
      expect((await runProgram('register-once', server.root, '0', 'not_stuck')).stdout).toBe('index 0\n');
    },
  );

  test('may sit in a call that hangs while the server stops', async (context) => {
    needs(context, ...SERVER_NEEDS);
    for (let round = 0; round < STOPS; round++) {
      const server = await startServer();
      const stuck = startProgram('stuck-caller', 'register', server.root);
      await stuck.line(/^calling$/);
      await delay(round * 10);
      const ending = await server.stop();
      expect({ ...ending, stderr: server.process.stderr }).toEqual({ status: 0, signal: null, stderr: '' });
      await endedWithin(stuck, 5000);
    }
  });
});

describe('a descriptor that crossed to another process', () => {
  test('the words of its new owner are written, and never those of the one who opened it', async (context) => {
    needs(context, ...SERVER_NEEDS);
    const server = await startServer();
    const pair = startProgram('passed-file', server.root);
    await pair.line(/^ready /);
    pair.say('?');
    expect(await pair.line(/^parent/)).toBe('parent 0 child 0');
    await server.enable('user_events/passed');
    pair.say('?');
    expect(await pair.line(/^parent/)).toBe('parent 0 child 1');
    expect(await pair.end()).toMatchObject({ status: 0 });
    expect(pair.lines.at(-1)).toBe('parent 0');
  });
});

describe('limits', () => {
  test(`registration ${EVENT_LIMIT + 1} answers EMFILE, and all can be let go`, async (context) => {
    needs(context, ...SERVER_NEEDS);
    const server = await startServer();
    const many = startProgram('many-events', server.root, 'events', String(EVENT_LIMIT + 10));
    expect(await many.line(/^ready /, 50_000)).toBe(`ready ${EVENT_LIMIT}`);
    expect(many.stderr).toMatch(/Too many open files/);
    await many.end();
    const { stdout } = await finish('sh', [
      '-c',
      `for i in 1 2 3 4 5 6 7 8 9 10; do grep -q 'Active: 0' ${server.path('user_events_status')} && echo empty && exit; sleep 1; done`,
    ]);
    expect(stdout).toBe('empty\n');
    expect((await runProgram('register-once', server.root, '0', 'again')).stdout).toBe('index 0\n');
  });
});
