import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type RelayedSignal, SignalRelay } from './signals.ts';

describe('SignalRelay', () => {
  let passedOn: RelayedSignal[];
  let relay: SignalRelay;
  beforeEach(() => {
    vi.useFakeTimers();
    passedOn = [];
    relay = new SignalRelay((signal) => passedOn.push(signal));
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it.each(['outer', 'inner'] as const)('passes on what only the %s process heard, once', (witness) => {
    relay.hear(witness, 'SIGTERM');
    expect(passedOn).toEqual([]);
    vi.runAllTimers();
    expect(passedOn).toEqual(['SIGTERM']);
  });

  it.each([
    ['outer', 'inner'],
    ['inner', 'outer'],
  ] as const)('leaves a signal to the group alone when %s hears it first', (first, second) => {
    relay.hear(first, 'SIGINT');
    relay.hear(second, 'SIGINT');
    vi.runAllTimers();
    expect(passedOn).toEqual([]);
  });

  it('passes on again after a signal to the group', () => {
    relay.hear('outer', 'SIGINT');
    relay.hear('inner', 'SIGINT');
    relay.hear('outer', 'SIGINT');
    vi.runAllTimers();
    expect(passedOn).toEqual(['SIGINT']);
  });

  it('does not take different signals for one', () => {
    relay.hear('outer', 'SIGINT');
    relay.hear('inner', 'SIGTERM');
    vi.runAllTimers();
    expect(passedOn).toEqual(['SIGINT', 'SIGTERM']);
  });

  it('passes nothing on once it is closed', () => {
    relay.hear('outer', 'SIGINT');
    relay.close();
    vi.runAllTimers();
    expect(passedOn).toEqual([]);
  });
});
