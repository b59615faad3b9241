/** What tests of probes by the built commands share: a world of their own, a target whose calls are known, and its recorders. */
import { expect, onTestFinished } from 'vitest';
import type { Child } from '../support/child.ts';
import { type ProbeUser, ProbeWorld } from '../support/probes.ts';
import { until } from '../support/wait.ts';

const NAMES = ['zero', 'one', 'two'];
/** How long something may take that is soon over. */
export const GONE_TIMEOUT_MS = 30_000;

/** A world that ends with its test. */
export async function makeWorld(user: ProbeUser): Promise<ProbeWorld> {
  const world = await ProbeWorld.make(user);
  onTestFinished(() => world.end());
  return world;
}

/** The definition of most tests. */
export const work = (of: ProbeWorld): string =>
  `p:app/work ${of.target}:target_work n=%di:s64 name=+0(%si):string`;

/** Calls the target's function, and checks that it answers what it answers unprobed. */
export async function calls(target: Child, count: number, command = ''): Promise<void> {
  target.say(`${command}${count}`);
  let sum = 0;
  for (let i = 0; i < count; i++) sum += i * 2 + (NAMES[i % 3] as string).charCodeAt(0);
  expect(await target.line(/^called /)).toBe(`called ${count} ${sum}`);
}

/** What the probe of `work` says of that many calls. */
export function expected(count: number): object[] {
  return Array.from({ length: count }, (_, n) => ({ event: 'work', fields: { n, name: NAMES[n % 3] } }));
}

/** What a recording has, without the addresses of probes. */
export async function recorded(of: ProbeWorld, file: string): Promise<object[]> {
  const events = await of.events(file);
  return events.map(({ event, fields }) => ({
    event,
    fields: Object.fromEntries(Object.entries(fields).filter(([name]) => !name.startsWith('__probe_'))),
  }));
}

/** Starts a recorder and waits until its probe is in a program. */
export async function recordTarget(
  of: ProbeWorld,
  target: Child,
  ...args: readonly string[]
): Promise<Child> {
  const recorder = of.start('record', ...args);
  await of.untilInForce('work', target.pid);
  return recorder;
}

/** Ends a recorder as Ctrl-C does. */
export async function stop(recorder: Child): Promise<void> {
  expect(await recorder.kill('SIGINT'), recorder.stderr).toEqual({ status: 0, signal: null });
}

/** What `record --json` prints at its end, besides what its command does. */
export function summaryOf(lines: readonly string[]): { events: number; lost: number } {
  return JSON.parse(lines.find((line) => line.startsWith('{')) ?? '{}') as { events: number; lost: number };
}

/** Waits until there is no prober. */
export async function untilProberIsGone(of: ProbeWorld): Promise<void> {
  await until('the prober has ended', () => of.probers().length === 0, GONE_TIMEOUT_MS);
}
