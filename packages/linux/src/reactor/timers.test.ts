import { Nanoseconds } from '@usertrace/base';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Timer, TimerQueue } from './timers.ts';

describe('TimerQueue', () => {
  it('gives timers in the order in which they are due, without the cancelled ones', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ dueNs: fc.nat(50), isCancelled: fc.boolean() })), (wanted) => {
        const queue = new TimerQueue();
        const timers = wanted.map(({ dueNs }) => queue.add(Nanoseconds(dueNs), () => undefined));
        for (const [i, { isCancelled }] of wanted.entries()) if (isCancelled) timers[i]?.cancel();
        const due: number[] = [];
        for (let timer: Timer | undefined; (timer = queue.takeDue(Nanoseconds(50))); ) due.push(timer.dueNs);
        const kept = wanted.filter((timer) => !timer.isCancelled).map((timer) => timer.dueNs);
        expect(due).toEqual(kept.toSorted((a, b) => a - b));
      }),
    );
  });

  it('keeps a timer until it is due', () => {
    const queue = new TimerQueue();
    const timer = queue.add(Nanoseconds(10), () => undefined);
    expect(queue.firstDueNs).toBe(10);
    expect(queue.takeDue(Nanoseconds(9))).toBeUndefined();
    expect(queue.takeDue(Nanoseconds(10))).toBe(timer);
    timer.cancel();
    expect(queue.size).toBe(0);
    expect(queue.firstDueNs).toBe(Infinity);
  });
});
