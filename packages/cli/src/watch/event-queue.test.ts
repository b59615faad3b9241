import { setImmediate } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { EventQueue } from './event-queue.ts';
import { call, entered, forked, MAIN } from './events.sim.ts';
import type { EventOutput, WatchEvent } from './watch-event.ts';

interface Record {
  readonly queue: EventQueue;
  readonly taken: WatchEvent[];
  readonly given: WatchEvent[];
  readonly failures: unknown[];
}

function record(outputs: EventOutput[] = []): Record {
  const taken: WatchEvent[] = [];
  const given: WatchEvent[] = [];
  const failures: unknown[] = [];
  const all = [{ take: (event: WatchEvent) => void taken.push(event) }, ...outputs];
  const queue = new EventQueue(
    all,
    (events) => void given.push(...events),
    (reason) => void failures.push(reason),
  );
  return { queue, taken, given, failures };
}

const EVENTS = Array.from({ length: 5_000 }, (_, at) =>
  at % 3 === 0 ? forked(MAIN, at, at) : entered(call(MAIN, at)),
);

it('EventQueue gives all outputs all events in order, at the end of the round', async () => {
  const { queue, taken, given } = record();
  queue.add(EVENTS[0] as WatchEvent);
  expect(taken).toEqual([]);
  await setImmediate();
  expect(taken).toEqual(EVENTS.slice(0, 1));
  for (const event of EVENTS.slice(1)) queue.add(event);
  expect(taken.length).toBeGreaterThan(EVENTS.length - 2_100);
  queue.flush();
  expect(taken).toEqual(EVENTS);
  expect(given).toEqual(EVENTS);
});

it('EventQueue tells what an output throws, and goes on', () => {
  const failing = { take: (event: WatchEvent) => expect(event.kind).not.toBe('clone') };
  const { queue, taken, failures } = record([failing]);
  for (const event of EVENTS.slice(0, 3)) queue.add(event);
  queue.flush();
  expect(failures).toHaveLength(1);
  queue.add(EVENTS[1] as WatchEvent);
  queue.flush();
  expect(failures).toHaveLength(1);
  expect(taken.at(-1)).toBe(EVENTS[1]);
});
