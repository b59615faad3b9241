import { expect, it } from 'vitest';
import { Poller } from './poller.ts';

/** Polls so many times while nothing happens; returns the questions that each one asked. */
function questions(poller: Poller, count: { asked: number }, polls: number): number[] {
  return Array.from({ length: polls }, () => {
    const before = count.asked;
    expect(poller.poll()).toBe(0);
    return count.asked - before;
  });
}

it('Poller leaves the processor to tasks that do not stop soon, and looks now and then whether they do', () => {
  const count = { asked: 0 };
  let answer = 0;
  const poller = new Poller(() => {
    count.asked += 1;
    return answer;
  });
  const idle = questions(poller, count, 1_000);
  expect(idle.slice(0, 4).every((asked) => asked > 0)).toBe(true);
  expect(idle.filter((asked) => asked > 0).length).toBeLessThan(4 + 1_000 / 60);
  expect(idle.lastIndexOf(0)).toBeGreaterThan(900);

  // They begin to stop fast: sooner or later it is seen, and from then on each is asked for.
  answer = 4711;
  let missed = 0;
  while (poller.poll() === 0) missed += 1;
  expect(missed).toBeLessThan(64);
  for (let stop = 0; stop < 100; stop++) expect(poller.poll()).toBe(4711);
  // One wait that is long does not end that.
  answer = 0;
  expect(questions(poller, count, 1)[0]).toBeGreaterThan(0);
  answer = 4711;
  expect(poller.poll()).toBe(4711);
});

it('Poller gives errors on', () => {
  const poller = new Poller(() => -10);
  expect(poller.poll()).toBe(-10);
});
