import { describe, expect, it } from 'vitest';
import { answered, call, entered, forked, MAIN, WORKER } from './events.sim.ts';
import { Summary } from './summary.ts';

describe('Summary', () => {
  it('counts calls, time and errors by system call, and other events', () => {
    const summary = new Summary();
    const slow = call(MAIN, 0, 'poll');
    const quick = call(WORKER, 10, 'read');
    for (const event of [
      entered(slow),
      entered(quick),
      answered(quick, 5, -11, 11),
      answered(slow, 1000, 0),
      answered(quick, 5, -512, 512),
      forked(MAIN, 3, 7),
    ])
      summary.take(event);
    expect(summary.calls).toEqual([
      { name: 'poll', calls: 1, errors: 0, seconds: 0.001 },
      { name: 'read', calls: 2, errors: 1, seconds: 0.00001 },
    ]);
    expect(summary.events).toEqual({ fork: 1 });
    const lines = summary.text().split('\n');
    expect(lines[0]).toMatch(/^% time +seconds +usecs\/call +calls +errors {2}syscall$/);
    expect(lines[1]).toMatch(/^ 99\.01 +0\.001000 +1000 +1 +poll$/);
    expect(lines[3]).toMatch(/^100\.00 +0\.001010 +336 +3 +1 {2}total$/);
    expect(lines[4]).toMatch(/^ +1 {2}fork$/);
  });
});
