/** Words whose stores take long, or hang: who waits for them, and how often they are tried. */
import { Address, Tid } from '@usertrace/base';
import { describe, expect, it } from 'vitest';
import type { Limits } from './limits.ts';
import { START, ALICE, BOB, system, requester, register, tracer, eventNamed } from './small-domain.sim.ts';

describe('UserEvent.settled()', () => {
  it('waits for every word, and says which did not make it', () => {
    const { domain, port, addTask, open, settle } = system();
    const memory = addTask(1);
    register(open(), requester(1), 0, 'ev');
    settle();
    const event = eventNamed(domain, 'ev');
    let called = 0;
    event.attach(tracer());
    event.settled(() => called++);
    expect(called).toBe(0);
    memory.protect(Address(START), 'read-only');
    for (const store of port.pending) port.finish(store);
    expect(called).toBe(1);
    expect([...domain.unsettled()]).toMatchObject([
      { event, tids: [1], address: START, bit: 31, outcome: 'faulted' },
    ]);
  });

  it('tries a word that hung again, less and less often, until it gives up', () => {
    const { domain, port, works, delaysNs, addTask, open, settle } = system();
    addTask(1);
    register(open(), requester(1), 0, 'ev');
    settle();
    eventNamed(domain, 'ev').attach(tracer());
    while (port.pending.length > 0) {
      const store = port.pending[0] ?? expect.fail();
      port.giveUp(store);
      works.shift()?.();
    }
    expect(delaysNs.length).toBeGreaterThan(2);
    expect(delaysNs.every((delayNs, i) => i === 0 || delayNs === 2 * (delaysNs[i - 1] ?? 0))).toBe(true);
    expect([...domain.unsettled()]).toMatchObject([{ outcome: 'late' }]);
  });
});

/** Two processes of Alice and one of Bob, each with so many words of one event that all hang. */
function hangingWords(wordCount: number, limits: Partial<Limits>) {
  const world = system(limits);
  for (const [tid, uid] of [
    [1, ALICE],
    [2, ALICE],
    [3, BOB],
  ] as const) {
    world.addTask(tid);
    const file = world.open(uid);
    for (let word = 0; word < wordCount; word++) register(file, requester(tid, uid), word, 'ev');
    world.settle();
  }
  const listener = tracer();
  eventNamed(world.domain, 'ev').attach(listener);
  expect(world.port.pending).toHaveLength(3 * wordCount);
  const giveUp = (tid: number): number => {
    const before = world.delaysNs.length;
    const hanging = world.port.pending.filter((store) => store.handle.opener === Tid(tid));
    for (const store of hanging) world.port.giveUp(store);
    return world.delaysNs.length - before;
  };
  return { ...world, listener, giveUp };
}

describe('words that hang', () => {
  it('wait for another try in bounded numbers: of an address space, of a user, and in all', () => {
    const { giveUp } = hangingWords(20, {
      lateRetriesPerAddressSpace: 8,
      lateRetriesPerUser: 12,
      lateRetries: 14,
    });
    expect(giveUp(1)).toBe(8);
    expect(giveUp(2)).toBe(4);
    expect(giveUp(3)).toBe(2);
  });

  it('leave room for others when they are tried again, and when their process is gone', () => {
    for (const end of ['tried', 'gone'] as const) {
      const { domain, works, listener, giveUp } = hangingWords(4, { lateRetriesPerUser: 4 });
      expect(giveUp(1)).toBe(4);
      expect(giveUp(2)).toBe(0);
      if (end === 'gone') domain.taskExited(Tid(1));
      else for (const work of works.splice(0)) work();
      // The next change tries all of them again.
      eventNamed(domain, 'ev').detach(listener);
      expect(giveUp(2)).toBe(4);
    }
  });

  it('take few timers by default, however many there are', () => {
    const { giveUp } = hangingWords(500, {});
    expect(giveUp(1)).toBeLessThan(100);
  });
});
