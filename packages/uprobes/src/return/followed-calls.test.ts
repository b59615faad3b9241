import { describe, expect, it } from 'vitest';
import type { Mapping } from '../process/process-maps.ts';
import type { Consumer } from '../tracer/consumer.ts';
import type { CallFrame } from './call-frames.ts';
import { FollowedCalls } from './followed-calls.ts';

const TID = 7;
const STACK = 0x7fff_0000;
const CODE = 0x40_0000;
const NOT_FILE = 0x50_0000;

const mapping = (start: number, identity: string | undefined): Mapping => ({
  start,
  end: start + 0x1_0000,
  isReadable: true,
  isWritable: false,
  isExecutable: true,
  isData: false,
  identity,
  path: '/program',
  offset: 0,
});
const MAPPINGS = [mapping(CODE, '1:2'), mapping(NOT_FILE, undefined)];

function newConsumer(): Consumer {
  return {
    definition: {
      kind: 'return',
      group: 'g',
      event: 'e',
      path: '/program',
      fileIdentity: '1:2',
      offset: 0n,
      counterOffset: 0n,
      arguments: [],
    },
    hit: () => undefined,
    misses: 0,
  };
}

/** A call whose return address stands at a depth of words. */
const callOf = (call: Consumer, returnAddress: number, depth = 0): CallFrame<Consumer> => ({
  tid: TID,
  stackAddress: STACK - depth * 8,
  returnAddress,
  call,
});
const closeAt = (calls: FollowedCalls, address: number, depth = 0): Consumer[] =>
  calls.close(TID, address, STACK - depth * 8 + 8);

describe('FollowedCalls', () => {
  it('asks for a breakpoint at each place of return once', () => {
    const [calls, consumer] = [new FollowedCalls(), newConsumer()];
    expect(calls.open(callOf(consumer, CODE + 1))).toBe(true);
    expect(closeAt(calls, CODE + 1)).toEqual([consumer]);
    expect(calls.open(callOf(consumer, CODE + 1))).toBe(false);
    expect([...calls.returnAddresses]).toEqual([CODE + 1]);
    expect(consumer.misses).toBe(0);
  });

  it('misses calls that return to more than 1,024 places, and no others', () => {
    const [calls, consumer] = [new FollowedCalls(), newConsumer()];
    for (let place = 0; place < 1_030; place++) {
      calls.open(callOf(consumer, CODE + place));
      closeAt(calls, CODE + place);
    }
    expect([calls.returnAddresses.size, consumer.misses]).toEqual([1_024, 6]);
    calls.open(callOf(consumer, CODE + 3));
    expect(closeAt(calls, CODE + 3)).toEqual([consumer]);
    expect(consumer.misses).toBe(6);
  });

  it('misses calls from code that is in no file', () => {
    const [calls, consumer] = [new FollowedCalls(), newConsumer()];
    calls.open(callOf(consumer, NOT_FILE + 1));
    calls.open(callOf(consumer, CODE + 1, 10));
    calls.keepValid(MAPPINGS, true);
    expect([consumer.misses, [...calls.returnAddresses]]).toEqual([1, [CODE + 1]]);
    expect(closeAt(calls, CODE + 1, 10)).toEqual([consumer]);
  });

  it('misses calls that return to what takes no breakpoint, for as long as it takes none', () => {
    const [calls, consumer] = [new FollowedCalls(), newConsumer()];
    calls.open(callOf(consumer, CODE + 1));
    calls.refuse(CODE + 1);
    expect(consumer.misses).toBe(1);
    calls.open(callOf(consumer, CODE + 1));
    expect(consumer.misses).toBe(2);
    calls.keepValid(MAPPINGS, true);
    calls.open(callOf(consumer, CODE + 1));
    expect(closeAt(calls, CODE + 1)).toEqual([consumer]);
    expect(consumer.misses).toBe(2);
  });

  it('of a child go their own way, and a removed consumer misses nothing', () => {
    const [calls, consumer] = [new FollowedCalls(), newConsumer()];
    calls.open(callOf(consumer, CODE + 1));
    const child = calls.fork();
    calls.dropConsumer(consumer);
    calls.keepValid(MAPPINGS, false);
    expect([calls.returnAddresses.size, consumer.misses]).toEqual([0, 0]);
    expect(closeAt(child, CODE + 1)).toEqual([consumer]);
  });
});
