import { spawn } from 'node:child_process';
import { assert, Nanoseconds } from '@usertrace/base';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { monotonicNow } from '../clock.ts';
import { Epoll } from '../epoll.ts';
import { EventFd } from '../event-fd.ts';
import type { HostLoop } from './node-loop.ts';
import { Reactor } from './reactor.ts';

let event: EventFd;

beforeEach(() => {
  event = new EventFd();
});
afterEach(() => event.close());

/** Runs a reactor; the test ends it by `reactor.stop()`. */
async function running(prepare: (reactor: Reactor) => void, host?: HostLoop): Promise<void> {
  const reactor = new Reactor(host);
  prepare(reactor);
  try {
    await reactor.run();
  } finally {
    reactor.close();
  }
}

/** What the reactor sleeps at most: a second, which would wake it for what nothing else told of. */
const LONGEST_SLEEP_MS = 1000;
/** More than anything takes that is waited for here, on however busy a machine. */
const SOUND_SLEEP_MS = 15_000;

/** Makes the longest sleeps of this test so long that nothing comes but by being told of; counts those that nothing ended. */
function soundSleeps(): { overslept: number } {
  const sleeps = { overslept: 0 };
  const wait: unknown = Reflect.get(Epoll.prototype, 'wait');
  assert(typeof wait === 'function', 'a method');
  const spy = vi.spyOn(Epoll.prototype, 'wait').mockImplementation(function (this: Epoll, timeoutMs) {
    if (timeoutMs !== LONGEST_SLEEP_MS) return Number(wait.call(this, timeoutMs));
    const ready = Number(wait.call(this, SOUND_SLEEP_MS));
    if (ready === 0) sleeps.overslept += 1;
    return ready;
  });
  onTestFinished(() => spy.mockRestore());
  return sleeps;
}

describe('Reactor.watch()', () => {
  it('calls back while a descriptor can be read, and no more once cancelled', async () => {
    let calls = 0;
    await running((reactor) => {
      const watch = reactor.watch(event.fd, () => {
        calls += 1;
        if (calls < 3) return;
        watch.cancel();
        reactor.after(Nanoseconds(5e6), () => reactor.stop());
      });
      event.signal();
    });
    expect(calls).toBe(3);
  });

  it('calls nobody back whom an earlier callback of the same wait cancelled', async () => {
    const other = new EventFd();
    const called: string[] = [];
    await running((reactor) => {
      const first = reactor.watch(event.fd, () => {
        called.push('first');
        second.cancel();
        reactor.stop();
      });
      const second = reactor.watch(other.fd, () => {
        called.push('second');
        first.cancel();
        reactor.stop();
      });
      event.signal();
      other.signal();
    });
    other.close();
    expect(called).toHaveLength(1);
  });
});

describe('Reactor.after()', () => {
  it('does work in the order in which it is due, not before', async () => {
    const order: string[] = [];
    const startedNs = monotonicNow();
    let doneNs = 0;
    await running((reactor) => {
      reactor.after(Nanoseconds(20e6), () => {
        order.push('later');
        doneNs = monotonicNow();
        reactor.stop();
      });
      reactor.after(Nanoseconds(10e6), () => order.push('sooner'));
      reactor.after(Nanoseconds(15e6), () => order.push('cancelled')).cancel();
    });
    expect(order).toEqual(['sooner', 'later']);
    expect(doneNs - startedNs).toBeGreaterThanOrEqual(20e6);
  });
});

describe('Reactor.defer()', () => {
  it('does work after the present callback and before the following one', async () => {
    const order: string[] = [];
    let requests = 2;
    await running((reactor) => {
      reactor.serve({
        fd: event.fd,
        service: () => {
          if (requests === 0) return false;
          const request = requests--;
          reactor.defer(() => order.push(`deferred by ${request}`));
          order.push(`request ${request}`);
          if (requests === 0) reactor.stop();
          return true;
        },
      });
    });
    expect(order).toEqual(['request 2', 'deferred by 2', 'request 1', 'deferred by 1']);
  });

  it('lets descriptors have their turn when work defers itself', async () => {
    let rounds = 0;
    await running((reactor) => {
      const again = (): void => {
        rounds += 1;
        if (rounds === 3) event.signal();
        reactor.defer(again);
      };
      reactor.defer(again);
      reactor.watch(event.fd, () => reactor.stop());
    });
    expect(rounds).toBeLessThan(10);
  });

  it('does work though the host is busy all the time', async () => {
    let isDone = false;
    event.signal();
    await running(
      (reactor) =>
        reactor.defer(() => {
          isDone = true;
          reactor.stop();
        }),
      { fd: event.fd, untilDueNs: () => Nanoseconds(0) },
    );
    expect(isDone).toBe(true);
  });
});

describe('Reactor.serve()', () => {
  it('wakes for requests', async () => {
    let served = 0;
    await running((reactor) => {
      reactor.serve({
        fd: event.fd,
        service: () => {
          if (pending === 0) return false;
          pending -= 1;
          event.clear();
          served += 1;
          if (served === 3) reactor.stop();
          else later();
          return true;
        },
      });
      let pending = 0;
      // After 3 ms the reactor spins no more.
      const later = (): unknown =>
        reactor.after(Nanoseconds(3e6), () => {
          pending = 1;
          event.signal();
        });
      later();
    });
    expect(served).toBe(3);
  });

  it('sleeps while there are none', async () => {
    let asked = 0;
    await running((reactor) => {
      reactor.serve({
        fd: event.fd,
        service: () => {
          asked += 1;
          return false;
        },
      });
      reactor.after(Nanoseconds(50e6), () => reactor.stop());
    });
    // Asking all the time would be some 25,000 times.
    expect(asked).toBeLessThan(500);
  });
});

describe('Reactor.run()', () => {
  it("keeps Node's timers, promises, immediates, signals and children going", async () => {
    const seen = new Set<string>();
    const see = (what: string, reactor: Reactor): void => {
      seen.add(what);
      if (seen.size === 6) reactor.stop();
    };
    const sleeps = soundSleeps();
    await running((reactor) => {
      process.once('SIGUSR2', () => see('signal', reactor));
      reactor.after(Nanoseconds(1e6), () => {
        setTimeout(() => see('timeout', reactor), 30);
        setImmediate(() => see('immediate', reactor));
        void Promise.resolve()
          .then(() => undefined)
          .then(() => see('promise', reactor));
        const child = spawn('/bin/sh', ['-c', 'echo hello; exit 3']);
        child.stdout.once('data', () => see('output', reactor));
        child.once('exit', () => see('exit', reactor));
      });
      reactor.after(Nanoseconds(5e6), () => process.kill(process.pid, 'SIGUSR2'));
    });
    expect([...seen].toSorted()).toEqual(['exit', 'immediate', 'output', 'promise', 'signal', 'timeout']);
    expect(sleeps.overslept).toBe(0);
  });

  it("runs Node's timers while the source is busy", async () => {
    let ticks = 0;
    await running((reactor) => {
      reactor.serve({ fd: event.fd, service: () => true });
      const interval = setInterval(() => {
        ticks += 1;
        if (ticks < 5) return;
        clearInterval(interval);
        reactor.stop();
      }, 2);
    });
    expect(ticks).toBe(5);
  });

  it('returns to a host whose descriptor is ready or whose timer is due', async () => {
    const dueNs = [0, 0, 3e6];
    let turns = 0;
    const host: HostLoop = {
      fd: event.fd,
      untilDueNs: () => Nanoseconds(dueNs.shift() ?? Infinity),
    };
    const sleeps = soundSleeps();
    await running((reactor) => {
      const turn = (): void => {
        turns += 1;
        if (turns === 4) event.signal();
        if (turns === 5) reactor.stop();
        else setImmediate(turn);
      };
      setImmediate(turn);
    }, host);
    expect(sleeps.overslept).toBe(0);
    expect(turns).toBe(5);
  });

  it('rejects with what a callback throws', async () => {
    await expect(
      running((reactor) => {
        reactor.defer(() => {
          throw new Error('broken callback');
        });
      }),
    ).rejects.toThrow('broken callback');
  });
});
