/** What tests of recorded tracepoints share: recorders, and checks of the numbered events of tests/programs/tracepoint-producer.mjs. */
import { isDeepStrictEqual } from 'node:util';
import { expect } from 'vitest';
import type { Child } from '../support/child.ts';
import { missing } from '../support/requirements.ts';
import { expectedFields, type ReportedEvent, type TracepointWorld } from '../support/tracepoints.ts';
import { until } from '../support/wait.ts';

/** Events of each thread, in their order. */
export function byThread(events: readonly ReportedEvent[]): Map<number, ReportedEvent[]> {
  const threads = new Map<number, ReportedEvent[]>();
  for (const event of events) {
    const known = threads.get(event.pid);
    if (known === undefined) threads.set(event.pid, [event]);
    else known.push(event);
  }
  return threads;
}

/** Checks that a thread's events are whole and in order, with gaps only where losses are marked; returns the losses. */
export function checkSequence(events: readonly ReportedEvent[], first: number | undefined): number {
  let following = first ?? (events[0]?.fields['number'] as number);
  let lostTotal = 0;
  for (const [index, { event, fields, lost }] of events.entries()) {
    const number = fields['number'] as number;
    // A window may begin behind a gap.
    if (lost !== undefined && (first !== undefined || index > 0)) {
      lostTotal += Number(lost);
      following += Number(lost);
    }
    const name = number % 2 === 0 ? 'rec_numbers' : 'rec_texts';
    // expect() costs far more than the comparison, and there are a great many events.
    const isAsExpected =
      number === following && event === name && isDeepStrictEqual(fields, expectedFields(number));
    if (!isAsExpected) expect({ event, fields }).toEqual({ event: name, fields: expectedFields(following) });
    following++;
  }
  return lostTotal;
}

/** Whether somebody listens to an event of a process. */
export async function isOn(world: TracepointWorld, pid: number): Promise<boolean> {
  return (await world.listed()).some((event) => event.pid === pid && event.isEnabled);
}

/** Starts a recorder, and waits until the producers' events are on. */
export async function startRecorder(
  world: TracepointWorld,
  producers: readonly Child[],
  ...args: readonly string[]
): Promise<Child> {
  const recorder = world.start('record', '--json', ...args);
  for (const { pid } of producers) {
    await until(`events of ${pid} are recorded`, async () =>
      (await world.listed()).some(
        (event) => event.pid === pid && event.listeners.includes(`${recorder.pid}`),
      ),
    );
  }
  return recorder;
}

/** Ends a recorder as Ctrl-C does; what it says at its end. */
export async function summaryOf(
  recorder: Child,
): Promise<{ events: number; lost: number; damagedPages: number }> {
  expect(await recorder.kill('SIGINT'), recorder.stderr).toEqual({ status: 0, signal: null });
  return JSON.parse(recorder.lines.at(-1) ?? '{}') as never;
}

/** Compares what trace-cmd prints of a file with what we print. */
export async function compareWithTraceCmd(world: TracepointWorld, file: string): Promise<void> {
  if (missing('trace-cmd') !== undefined) return;
  const theirs = await world.finish('trace-cmd', 'report', file);
  const ours = await world.run('report', file);
  expect(theirs.status, theirs.stderr).toBe(0);
  expect(ours.stdout.split('\n')).toEqual(theirs.stdout.split('\n'));
}
