/** Ends of all kinds: the server's by signals and kill -9, the programs' by kill -9 in the middle of a call. */
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { Child } from '../support/child.ts';
import { childrenOf, isMounted, type Server } from '../support/server.ts';
import { delay, until } from '../support/wait.ts';
import {
  CAMPAIGN_TIMEOUT_MS,
  SCALE,
  SERVER_NEEDS,
  endedWithin,
  needs,
  runProgram,
  startProgram,
  startServer,
} from './fixture.ts';

const NO_HANG_MS = 60_000;
const STORM_STOPPED = 4;
const KILL_ROUNDS = 15 * SCALE;
/** Rounds in which the server is killed, each a little later in the stream of calls. */
const SERVER_KILL_ROUNDS = 3 * SCALE;

/** The state of a process, a letter of proc_pid_stat(5), or undefined when it is gone. */
function stateOf(pid: number): string | undefined {
  try {
    return /\) (.)/.exec(readFileSync(`/proc/${pid}/stat`, 'latin1'))?.[1];
  } catch {
    return undefined;
  }
}

async function startStorms(server: Server, kind: 'write' | 'ioctl', count: number): Promise<Child[]> {
  const storms: Child[] = [];
  for (let number = 0; number < count; number++) {
    const event = `storm_${kind}_${number}`;
    const storm = startProgram('storm', server.root, kind, event);
    if (kind === 'write') {
      await until(`${event} exists`, async () =>
        (await server.read('dynamic_events')).includes(`u:${event} `),
      );
      await server.enable(`user_events/${event}`);
    }
    await storm.line(/^ready /);
    storms.push(storm);
  }
  return storms;
}

describe('the end of a server', () => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    test(`serve unmounts and exits 0 on ${signal}`, async (context) => {
      needs(context, 'root', 'fuse');
      const server = await startServer();
      expect(isMounted(server.root)).toBe(true);
      expect(await server.process.kill(signal)).toEqual({ status: 0, signal: null });
      expect(isMounted(server.root)).toBe(false);
    });
  }

  test('serve exits 0 on SIGTERM while programs have its files open and write', async (context) => {
    needs(context, ...SERVER_NEEDS);
    const server = await startServer();
    const storms = await startStorms(server, 'write', 2);
    expect(await server.process.kill('SIGTERM')).toEqual({ status: 0, signal: null });
    expect(isMounted(server.root)).toBe(false);
    for (const storm of storms)
      expect(await endedWithin(storm, NO_HANG_MS)).toMatchObject({ status: STORM_STOPPED });
  });

  test(
    'kill -9 of serve gives every caller an error, and the next one starts at the same folder',
    async (context) => {
      needs(context, ...SERVER_NEEDS);
      let server = await startServer();
      for (let round = 0; round < SERVER_KILL_ROUNDS; round++) {
        const storms = [
          ...(await startStorms(server, 'write', 4)),
          ...(await startStorms(server, 'ioctl', 2)),
        ];
        await delay(round % 20);
        await server.crash();
        for (const storm of storms) {
          expect(await endedWithin(storm, NO_HANG_MS)).toMatchObject({ status: STORM_STOPPED });
          expect(storm.lines.at(-1)).toMatch(/^stopped (ENOTCONN|ECONNABORTED|EIO)$/);
        }

        server = await startServer({ root: server.root });
        expect(await server.read('user_events_status')).toContain('Active: 0');
        const { stdout } = await runProgram('register-once', server.root, '0', 'after_crash u32 value');
        expect(stdout).toBe('index 0\n');
      }
    },
    CAMPAIGN_TIMEOUT_MS,
  );
});

describe('the processes of a server that access memory', () => {
  test('kill -9 of one costs no word its bit', async (context) => {
    needs(context, ...SERVER_NEEDS);
    const server = await startServer();
    const holder = startProgram('word-holder', server.root, 'plain', 'held u32 value');
    await holder.line(/^ready /);
    for (const value of ['1', '0', '1'] as const) {
      for (const pid of childrenOf(server.process.pid)) process.kill(pid, 'SIGKILL');
      await server.enable('user_events/held', value);
      await holder.line(value === '1' ? /^set / : /^clear /);
    }
  });

  test('none outlives a server that was killed', async (context) => {
    needs(context, ...SERVER_NEEDS);
    const server = await startServer();
    await startStorms(server, 'write', 1);
    const children = childrenOf(server.process.pid);
    await server.crash();
    await until('they are gone', () => children.every((pid) => !existsSync(`/proc/${pid}`)));
  });
});

describe('a server that is killed while it looks into a page that never comes', () => {
  test('leaves nobody waiting', async (context) => {
    needs(context, ...SERVER_NEEDS);
    const server = await startServer();
    const holder = startProgram('word-holder', server.root, 'plain', 'held u32 value');
    await holder.line(/^ready /);
    const storms = await startStorms(server, 'ioctl', 2);
    // Started last, it ends first, whatever fails here; and with it the page, and everything that waits for it.
    const silent = startProgram('silent-page', server.root, 'word');
    await silent.line(/^answer E/);
    // Such an executor sleeps uninterruptibly in that page, so it outlives the server, which is its parent.
    const stuck = childrenOf(server.process.pid).filter((pid) => stateOf(pid) === 'D');
    expect(stuck).not.toEqual([]);

    await server.crash();
    expect(stuck.map(stateOf)).toEqual(stuck.map(() => 'D'));
    for (const storm of storms) {
      expect(await endedWithin(storm, NO_HANG_MS)).toMatchObject({ status: STORM_STOPPED });
      expect(storm.lines.at(-1)).toMatch(/^stopped (ENOTCONN|ECONNABORTED|EIO)$/);
    }
    expect((await runProgram('register-once', server.root, '0', 'held')).stdout).toBe('open ENOTCONN\n');
    const next = await startServer({ root: server.root });
    expect(await next.read('user_events_status')).toContain('Active: 0');
    await silent.kill();
    await until('it is gone', () => stuck.every((pid) => stateOf(pid) === undefined));
  });
});

describe('a writer whose source page never comes', () => {
  test('holds up those who share its open file, as in the kernel, and its end lets them go on', async (context) => {
    needs(context, ...SERVER_NEEDS);
    const server = await startServer();
    const writers = startProgram('shared-writers', server.root);
    await writers.line(/^ready$/);
    await server.enable('user_events/shared');
    writers.say('go');
    const line = await writers.line(/^(stuck \d+|no userfaultfd)$/);
    if (line === 'no userfaultfd') context.skip('needs userfaultfd(2)');
    const stuck = Number(line.split(' ')[1]);
    // Whoever opened the file itself goes on.
    await writers.line(/^own 8$/);
    const sharer = Number((await writers.line(/^waits /)).split(' ')[1]);
    await until('the sharer waits for the lock of the open file', () => stateOf(sharer) === 'D');
    expect((await runProgram('register-once', server.root, '0', 'alive')).stdout).toBe('index 0\n');

    process.kill(stuck, 'SIGKILL');
    await writers.line(/^shared 8$/);
    expect(writers.lines.filter((text) => text.startsWith('stuck write'))).toEqual([]);
    expect(await server.process.kill('SIGTERM')).toEqual({ status: 0, signal: null });
  });
});

describe('the end of programs', () => {
  for (const kind of ['write', 'ioctl'] as const) {
    test(
      `kill -9 in the middle of ${kind} leaves nothing behind`,
      async (context) => {
        needs(context, ...SERVER_NEEDS);
        const server = await startServer();
        const before = server.footprint();
        for (let round = 0; round < KILL_ROUNDS; round++) {
          const storms = await startStorms(server, kind, 2);
          await delay(round % 20); // a different moment in the stream of calls each time
          await Promise.all(storms.map((storm) => storm.kill()));
        }
        for (const event of kind === 'write' ? ['storm_write_0', 'storm_write_1'] : []) {
          await server.enable(`user_events/${event}`, '0');
        }
        await until('all events are gone', async () =>
          (await server.read('user_events_status')).includes('Active: 0'),
        );
        await until('the descriptors are closed', () => server.footprint().descriptors <= before.descriptors);
        expect((await runProgram('register-once', server.root, '0', 'alive')).stdout).toBe('index 0\n');
      },
      CAMPAIGN_TIMEOUT_MS,
    );
  }
});
