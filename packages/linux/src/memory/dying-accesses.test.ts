import { assert, Nanoseconds, Tid, Uid } from '@usertrace/base';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { monotonicNow } from '../clock.ts';
import { Reactor } from '../reactor/reactor.ts';
import { AddressSpace } from './address-space.ts';
import { DyingAccesses, type KilledExecutor } from './dying-accesses.ts';
import { KIND, newOperation, REQUIRED } from './operation.ts';

/** Longer than one may take to die that has a CPU. */
const LONG_NS = Nanoseconds(150_000_000);

let space: AddressSpace;
beforeEach(() => {
  const own = AddressSpace.open(Tid(process.pid), Uid(0));
  assert(own !== undefined, 'a process may access itself');
  space = own;
});
afterEach(() => space.close());

/** What becomes of an operation whose executor was killed. */
async function outcomeOf(executor: KilledExecutor): Promise<'proceeds' | 'late'> {
  const reactor = new Reactor();
  const dying = new DyingAccesses(reactor, () => undefined);
  let outcome: 'proceeds' | 'late' | undefined;
  const settle = (): void => {
    outcome = 'late';
    reactor.stop();
  };
  const operation = newOperation(space, KIND.READ, REQUIRED.READABLE, 0n, 1, undefined, 0, 0, settle);
  dying.await(operation, executor, () => {
    outcome = 'proceeds';
    reactor.stop();
  });
  await reactor.run();
  reactor.close();
  assert(outcome !== undefined, 'the reactor stops when the operation has an outcome');
  return outcome;
}

describe('DyingAccesses.await()', () => {
  it('forsakes the address space of an access that cannot be killed', async () => {
    expect(await outcomeOf({ isDead: () => false, isEnding: () => false })).toBe('late');
    expect(space.isForsaken).toBe(true);
  });

  it('waits for an executor to die that only lacks a CPU or is kept by a debugger', async () => {
    const killedNs = monotonicNow();
    const executor = { isDead: () => monotonicNow() - killedNs > LONG_NS, isEnding: () => true };
    expect(await outcomeOf(executor)).toBe('proceeds');
    expect(space.isForsaken).toBe(false);
  });

  it('forsakes nothing when the executor dies after it was last seen to hang', async () => {
    let isDead = false;
    const isEnding = (): boolean => {
      isDead = true;
      return false;
    };
    expect(await outcomeOf({ isDead: () => isDead, isEnding })).toBe('proceeds');
    expect(space.isForsaken).toBe(false);
  });
});
