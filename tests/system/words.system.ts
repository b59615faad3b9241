/** Enable words in memory that fails, hangs, multiplies or vanishes; and what that leaves in the server. */
import { chmod } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { Child } from '../support/child.ts';
import { inRepository } from '../support/repository.ts';
import { childrenOf, type Footprint, type Server } from '../support/server.ts';
import { until } from '../support/wait.ts';
import {
  CAMPAIGN_TIMEOUT_MS,
  SCALE,
  SERVER_NEEDS,
  needs,
  runProgram,
  startProgram,
  startServer,
} from './fixture.ts';

/** The server gives a word up after its deadline; a person waits that long for `echo 1 > enable` at most. */
const ENABLE_DEADLINE_MS = 3_000;
/** What a word in good memory may wait for, on however busy a machine: not until the other is given up. */
const AT_ONCE_MS = 2_000;
/** Each would delay all others by 5 ms and more, again and again. */
const SILENT_PROCESSES = 150;
/** So much longer may it take with them than with a server that has none, at the same time: half of all those delays. */
const SILENT_DELAY_MS = 375;
const REGISTRATIONS = 20;
/** Those that one user's pages may hold, and those that serve. */
const EXECUTORS_MAX = 67;
const NO_USERFAULTFD = 77;
const FORK_BOMB = 500;
const STAMPEDE = 200;
const MIB = 2 ** 20;
/** Until all code has run that is kept with what it learnt. */
const WARM_UP_ROUNDS = 8;
const ROUNDS = 6 * SCALE;
/** What code takes that is compiled meanwhile, and 30 bytes for each process of the rounds. */
const IN_USE_SLACK_MIB = 1 + ROUNDS / 50;

async function startHolder(server: Server, kind: string, event: string): Promise<Child> {
  const holder = startProgram('word-holder', server.root, kind, event);
  await holder.line(/^ready /);
  return holder;
}

async function registeringTakesMs(server: Server): Promise<number> {
  const startedAt = performance.now();
  const { stdout } = await runProgram('register-once', server.root, '0', 'mine');
  expect(stdout).toBe('index 0\n');
  return performance.now() - startedAt;
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((one, other) => one - other)[numbers.length >> 1] ?? 0;
}

function describeFootprint(when: string, { descriptors, rssMiB, threads }: Footprint): string {
  return `${when}: ${descriptors} descriptors, ${rssMiB.toFixed(1)} MiB, ${threads} threads`;
}

describe('a word that cannot be written', () => {
  for (const kind of ['unmapped', 'readonly', 'userfault'] as const) {
    test(`enabling with a word that is ${kind} delays no other word and returns in time`, async (context) => {
      needs(context, ...SERVER_NEEDS);
      const server = await startServer();
      const bad = startProgram('word-holder', server.root, kind, 'shared u32 value');
      const isReady = await bad.line(/^ready /).then(
        () => true,
        () => false,
      );
      if (!isReady && (await bad.ended).status === NO_USERFAULTFD) context.skip('needs userfaultfd(2)');
      const good = await startHolder(server, 'plain', 'shared u32 value');
      const other = await startHolder(server, 'plain', 'other u32 value');

      const startedAtNs = process.hrtime.bigint();
      const enabling = server.enable('user_events/shared');
      await server.enable('user_events/other');
      const otherMs = Number(process.hrtime.bigint() - startedAtNs) / 1e6;
      await enabling;
      const tookMs = Number(process.hrtime.bigint() - startedAtNs) / 1e6;

      for (const holder of [good, other]) {
        const setAtNs = BigInt((await holder.line(/^set /)).split(' ')[1] ?? '');
        expect(Number(setAtNs - startedAtNs) / 1e6).toBeLessThan(AT_ONCE_MS);
      }
      expect(otherMs).toBeLessThan(AT_ONCE_MS);
      expect(tookMs).toBeLessThan(ENABLE_DEADLINE_MS);
      await server.enable('user_events/shared', '0');
      await good.line(/^clear /);
      expect(await server.process.kill('SIGTERM')).toEqual({ status: 0, signal: null });
    });
  }
});

describe('hundreds of processes whose pages never come', () => {
  test(
    'delay no other user, and cost the server a bounded number of executors',
    async (context) => {
      needs(context, ...SERVER_NEEDS);
      const server = await startServer();
      await chmod(server.root, 0o755);
      await chmod(server.path('user_events_data'), 0o666);
      const silent = startProgram('silent-page', server.root, 'name', String(SILENT_PROCESSES), '65534');
      await silent.line(/^ready$/);
      const calm = await startServer();
      const times: number[] = [];
      const calmTimes: number[] = [];
      for (let number = 0; number < REGISTRATIONS; number++) {
        times.push(await registeringTakesMs(server));
        calmTimes.push(await registeringTakesMs(calm));
      }
      const [tookMs, calmMs] = [median(times), median(calmTimes)];
      console.log(`registering took ${tookMs.toFixed()} ms, and ${calmMs.toFixed()} ms without them`);
      expect(tookMs - calmMs).toBeLessThan(SILENT_DELAY_MS);
      expect(childrenOf(server.process.pid).length).toBeLessThanOrEqual(EXECUTORS_MAX);
      expect(await server.process.kill('SIGTERM')).toEqual({ status: 0, signal: null });
      await silent.kill();
    },
    CAMPAIGN_TIMEOUT_MS,
  );
});

describe('many processes', () => {
  test(`${FORK_BOMB} forked children of a registered process are all switched`, async (context) => {
    needs(context, ...SERVER_NEEDS);
    const server = await startServer();
    const family = startProgram('forked-holders', server.root, 'family u32 value', String(FORK_BOMB));
    await family.line(/^ready /);
    for (const value of ['1', '0'] as const) {
      await server.enable('user_events/family', value);
      family.say('count');
      const expected = value === '1' ? FORK_BOMB + 1 : 0;
      expect(await family.line(/^set /)).toBe(`set ${expected} of ${FORK_BOMB + 1}`);
    }
  });

  test(
    'registering, forking and exiting again and again leaves no descriptor and no memory',
    async (context) => {
      needs(context, ...SERVER_NEEDS);
      const preloaded = pathToFileURL(inRepository('tests', 'programs', 'collect-garbage.mjs')).href;
      const server = await startServer({ node: [process.execPath, '--expose-gc', '--import', preloaded] });
      const footprint = async (when: string): Promise<Footprint & { readonly inUseMiB: number }> => {
        process.kill(server.process.pid, 'SIGUSR2');
        const inUseMiB = Number((await server.process.line(/^in use /)).slice('in use '.length)) / MIB;
        const held = server.footprint();
        console.log(`${describeFootprint(when, held)}, ${inUseMiB.toFixed(2)} MiB in use`);
        return { ...held, inUseMiB };
      };
      const round = async (): Promise<void> => {
        const { stdout } = await runProgram('stampede', server.root, String(STAMPEDE));
        expect(stdout).toBe(`registered ${STAMPEDE} of ${STAMPEDE}\n`);
        const family = startProgram('forked-holders', server.root, 'family u32 value', String(FORK_BOMB));
        await family.line(/^ready /);
        await server.enable('user_events/family');
        await server.enable('user_events/family', '0');
        await family.end();
        await until('no event is left', async () =>
          (await server.read('user_events_status')).includes('Active: 0'),
        );
      };

      const fresh = await footprint('fresh server');
      for (let number = 0; number < WARM_UP_ROUNDS; number++) await round();
      const warm = await footprint(`after ${WARM_UP_ROUNDS} rounds`);
      for (let number = 0; number < ROUNDS; number++) await round();
      await until(
        'the descriptors are closed',
        () => server.footprint().descriptors <= fresh.descriptors,
      ).catch(() => undefined);
      const last = await footprint(`after ${ROUNDS} more rounds`);
      expect(last.descriptors).toBeLessThanOrEqual(fresh.descriptors);
      expect(last.inUseMiB).toBeLessThan(warm.inUseMiB + IN_USE_SLACK_MIB);
      expect(last.threads).toBeLessThanOrEqual(warm.threads);
    },
    CAMPAIGN_TIMEOUT_MS,
  );
});
