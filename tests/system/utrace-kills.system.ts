/**
 * kill -9 of tracers and of what they trace, at random moments; USERTRACE_SCALE says how many times more than in CI. A round that
 * fails names its seed; USERTRACE_SEED begins with it.
 */
import { Action, ALL_EVENTS, type Callbacks, type ProcessEngine } from '@usertrace/utrace';
import { expect, test } from 'vitest';
import { Child } from '../support/child.ts';
import { delay, until } from '../support/wait.ts';
import { CAMPAIGN_TIMEOUT_MS, needs, SCALE } from './fixture.ts';
import {
  disturbedThreads,
  startTarget,
  stateOf,
  TRACER_KINDS,
  tracer,
  tracerProcess,
  untilUndisturbed,
  zombiesOf,
} from './utrace-fixture.ts';

const SEED = Number(process.env['USERTRACE_SEED'] ?? Math.trunc(Math.random() * 0x7fff_ffff));
/** A process is killed after so long at most. */
const MAX_DELAY_MS = 40;
const PROGRAMS = [
  ['fork-forever', '0'],
  ['churn', '10'],
  ['count', '0'],
  ['usr1', '0'],
] as const;

/** What engines do to a process that is killed meanwhile. */
const WORK: Readonly<Record<string, { callbacks: Callbacks; begin?: (group: ProcessEngine) => unknown }>> = {
  'see all': { callbacks: {} },
  'answer later': { callbacks: { clone: () => Promise.resolve(Action.RESUME), exit: () => delay(1) } },
  stop: { callbacks: {}, begin: (group) => group.stop() },
  step: {
    callbacks: {
      quiesce: (_, event) => (event === 0 ? Action.SINGLESTEP : undefined),
      signal: (_, { isStep }) => (isStep ? Action.SINGLESTEP : undefined),
    },
    begin: (group) => group.control(Action.REPORT),
  },
  'call the system': {
    callbacks: {
      quiesce: ({ task }, event) => {
        if (event !== 0) return undefined;
        task.examination().systemCall(39, []);
        return Action.REPORT;
      },
    },
    begin: (group) => group.control(Action.REPORT),
  },
};

/** Numbers of a round, the same for the same seed. */
function choices(round: number): { pick: <T>(of: readonly T[]) => T; delayMs: number; name: string } {
  let state = (SEED + round) | 1;
  const random = (): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    return state / 0x8000_0000;
  };
  for (let warmUp = 0; warmUp < 5; warmUp++) random();
  return {
    pick: (of) => of[Math.trunc(random() * of.length)] as (typeof of)[number],
    delayMs: random() * MAX_DELAY_MS,
    name: `round of seed ${SEED + round}`,
  };
}

test('kill -9 of the target at any moment leaves no zombie and nothing attached', {
  timeout: CAMPAIGN_TIMEOUT_MS,
}, async (context) => {
  needs(context, 'cc');
  const utrace = tracer({ failed: () => undefined });
  for (let round = 0; round < 20 * SCALE; round++) {
    const { pick, delayMs, name } = choices(round);
    const target = await startTarget(...pick(PROGRAMS));
    const { callbacks, begin } = WORK[pick(Object.keys(WORK))] as (typeof WORK)[string];
    const group = utrace.attach(target.pid, callbacks, { events: ALL_EVENTS, follow: true });
    const begun = Promise.resolve(begin?.(group)).catch(() => undefined);
    await delay(delayMs);
    target.send('SIGKILL');
    await begun;
    if (group.engines.size > 0) group.control(Action.RESUME);
    await group.ended();
    await target.output.line(/^status/);
    expect(stateOf(target.pid), name).toBeUndefined();
  }
  await utrace.untilEmpty();
  await until('no zombie is left', () => zombiesOf(process.pid).length === 0);
});

test('kill -9 of the tracer at any moment leaves the target running and untraced', {
  timeout: CAMPAIGN_TIMEOUT_MS,
}, async (context) => {
  needs(context, 'cc');
  for (let round = 0; round < 10 * SCALE; round++) {
    const { pick, delayMs, name } = choices(round);
    const target = await startTarget(...pick(PROGRAMS));
    const holder = tracerProcess(target.pid, pick(TRACER_KINDS));
    await holder.line(/^attached/);
    await delay(delayMs);
    await holder.kill();
    await untilUndisturbed(target.pid);
    expect(disturbedThreads(target.pid), name).toEqual([]);
    expect('RSD', name).toContain(stateOf(target.pid));
    target.send('SIGKILL');
    await target.output.line(/^status 137/);
  }
});

test.for(['throw new Error("planned")', 'process.exit(0)'])(
  'a tracer that ends by %s in the middle of steps leaves the target running',
  async (ending, context) => {
    needs(context, 'cc');
    for (let round = 0; round < 2 * SCALE; round++) {
      const target = await startTarget('count');
      const stepper = new Child(process.execPath, [
        '--input-type=module',
        '-e',
        `
          import { Action, Event, openUtrace } from '@usertrace/utrace';
          let steps = 0;
          const step = () => {
            if (++steps === 500) setTimeout(() => { ${ending} }, ${choices(round).delayMs});
            return Action.SINGLESTEP;
          };
          openUtrace()
            .attachTask(
              ${target.pid},
              { quiesce: (_, event) => event === 0 ? step() : undefined, signal: (_, { isStep }) => isStep ? step() : undefined },
              Event.SIGNAL | Event.QUIESCE,
            )
            .control(Action.REPORT);
        `,
      ]);
      const { signal } = await stepper.ended;
      expect(signal).toBeNull();
      await untilUndisturbed(target.pid);
      const { length } = target.output.lines;
      await until('it goes on', () => target.output.lines.length > length + 5);
      target.send('SIGKILL');
      await target.output.line(/^status 137/);
    }
  },
);
