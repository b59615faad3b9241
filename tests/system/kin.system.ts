/**
 * Children of registered processes, and who is written to: with the process connector and without it, with and without
 * address space randomization.
 */
import { setImmediate } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { cProgram } from '../support/c-programs.ts';
import { finish } from '../support/child.ts';
import type { Server } from '../support/server.ts';
import {
  CAMPAIGN_TIMEOUT_MS,
  needs,
  SCALE,
  SERVER_NEEDS,
  startChild,
  startProgram,
  startServer,
} from './fixture.ts';

const RACING_CHILDREN = 1000 * SCALE;
const FAMILY = 20;

/** The process connector answers in the initial network namespace only (netlink(7)). */
const SERVERS = [
  { how: 'with the process connector', options: {} },
  { how: 'without the process connector', options: { node: ['unshare', '--net', process.execPath] } },
  { how: 'with engines on the programs', options: { arguments: ['--follow', 'engine'] } },
];
/** Those that are told of each fork. */
const EXACT_SERVERS = SERVERS.filter(({ how }) => how !== 'without the process connector');
const PROGRAMS = [
  { of: 'a program', prefix: [] },
  { of: 'a program without randomization', prefix: ['setarch', '--addr-no-randomize'] },
];

async function canRun([command, ...args]: readonly string[]): Promise<boolean> {
  if (command === undefined) return true;
  return (await finish(command, [...args, 'true']).catch(() => undefined))?.status === 0;
}

/** Switches an event on and off until a program has ended. Returns how often. */
async function switchUntil(ended: Promise<unknown>, server: Server, event: string): Promise<number> {
  const over = ended.then(() => true);
  for (let times = 0; ; times++) {
    if (await Promise.race([over, setImmediate(false)])) return times;
    await server.enable(event, times % 2 === 0 ? '1' : '0');
  }
}

for (const { how, options } of SERVERS) {
  describe(`a server ${how}`, () => {
    for (const { of, prefix } of PROGRAMS)
      test(
        `never writes into what a child of ${of} executes`,
        async (context) => {
          needs(context, ...SERVER_NEEDS);
          if (!(await canRun(prefix))) context.skip('needs setarch (apt: util-linux)');
          const server = await startServer(options);
          const program = cProgram('tests/programs/exec-race.c');
          const args = [server.root, 'racing u32 value', String(RACING_CHILDREN)];
          // Keeps the event when the parent has ended.
          const holder = startProgram('word-holder', server.root, 'plain', 'racing u32 value');
          await holder.line(/^ready /);
          const parent = startChild([...prefix, program, ...args]);
          await parent.line(/^ready/);
          const times = await switchUntil(parent.ended, server, 'user_events/racing');
          console.log(`${RACING_CHILDREN} children, ${times} switches`);
          expect(await parent.ended, parent.stderr).toEqual({ status: 0, signal: null });
          expect(parent.lines.at(-1)).toBe(`touched 0 of ${RACING_CHILDREN}`);
        },
        CAMPAIGN_TIMEOUT_MS,
      );
  });
}

test.for(EXACT_SERVERS)(
  'forked children of a program without randomization are switched, $how',
  async ({ options }, context) => {
    needs(context, ...SERVER_NEEDS);
    const prefix = ['setarch', '--addr-no-randomize'];
    if (!(await canRun(prefix))) context.skip('needs setarch (apt: util-linux)');
    const server = await startServer(options);
    const program = cProgram('tests/programs/forked-holders.c');
    const family = startChild([...prefix, program, server.root, 'family u32 value', String(FAMILY)]);
    await family.line(/^ready /);
    for (const value of ['1', '0'] as const) {
      await server.enable('user_events/family', value);
      family.say('count');
      expect(await family.line(/^set /)).toBe(`set ${value === '1' ? FAMILY + 1 : 0} of ${FAMILY + 1}`);
    }
  },
);
