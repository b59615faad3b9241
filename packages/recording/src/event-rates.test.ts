import { eventMatcher } from '@usertrace/base';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EventRates } from './event-rates.ts';
import { ProviderFile } from './provider-file.ts';
import { switchStanding } from './provider-session.ts';
import { makeFolder, removeFolder, SimulatedProvider, surroundingsOf } from './provider.sim.ts';

let folder: string;
let provider: SimulatedProvider;
let rates: EventRates | undefined;

function follow(pattern: string): EventRates {
  rates = new EventRates({
    request: { patterns: [pattern], matches: eventMatcher(pattern), mode: 'overwrite' },
    wantsProcess: () => true,
    warn: (message) => expect(message).toBe(''),
    surroundings: surroundingsOf(folder),
  });
  rates.turn();
  return rates;
}

beforeEach(() => {
  folder = makeFolder();
  provider = new SimulatedProvider(folder, 101, 4);
  provider.declare('a u32 number');
  provider.declare('b u32 number');
});

afterEach(() => {
  rates?.stop();
  provider.die();
  removeFolder(folder);
});

describe('EventRates', () => {
  it('counts each event once, however slowly its page is filled', () => {
    const file = ProviderFile.open(provider.path, process.getuid?.() ?? 0, 'change');
    switchStanding(file, { patterns: ['*'], matches: () => true }, true);
    file.close();
    for (let number = 0; number < 30; number++) provider.emit(0, number);
    const following = follow('*');
    expect(following.take().rates.map(({ count }) => count)).toEqual([0, 0]);
    for (let round = 0; round < 600; round++) {
      provider.emit(0, round);
      if (round % 2 === 0) provider.emit(1, round);
      following.turn();
    }
    expect(following.take()).toMatchObject({
      rates: [
        { pid: process.pid, comm: 'simulated', event: 'a', count: 600 },
        { event: 'b', count: 300 },
      ],
      processes: 1,
    });
    following.turn();
    expect(following.take().rates.map(({ count }) => count)).toEqual([0, 0]);
  });

  it('counts what went by too fast', () => {
    const following = follow('a');
    for (let number = 0; number < 5000; number++) {
      provider.emit(0, number);
      provider.emit(1, number);
    }
    following.turn();
    const { rates: counted, lostByPid } = following.take();
    expect(counted).toHaveLength(1);
    expect((counted[0]?.count ?? 0) + (lostByPid.get(process.pid) ?? 0)).toBe(5000);
    expect(lostByPid.get(process.pid)).toBeGreaterThan(1000);
  });
});
