import { Address, type ErrnoName, Tid, Uid } from '@usertrace/base';
import { describe, expect, it } from 'vitest';
import { type EventTracer, type Requester, type UserEvent, type UserEventFile, UserEvents } from './index.ts';
import type { Limits } from './limits.ts';
import { SimulatedMemory, SimulatedMemoryPort } from './memory.sim.ts';

const START = 0x1000n;
const ALICE = Uid(1000);
const BOB = Uid(1001);

/** A domain with one process per task id, all with one mapped page. */
function system(limits: Partial<Limits> = {}) {
  const port = new SimulatedMemoryPort();
  const works: (() => void)[] = [];
  const delaysNs: number[] = [];
  const domain = new UserEvents(
    {
      memory: port,
      deferred: {
        defer: (work) => void works.push(work),
        after: (delayNs, work) => {
          delaysNs.push(delayNs);
          works.push(work);
          return { cancel: () => {} };
        },
      },
    },
    limits,
    ALICE,
  );
  const addTask = (tid: number, memory = new SimulatedMemory()): SimulatedMemory => {
    memory.map(Address(START), 1);
    memory.users++;
    port.byTask.set(Tid(tid), memory);
    return memory;
  };
  const settle = (): void => {
    while (port.pending.length > 0 || works.length > 0) {
      const [store] = port.pending;
      if (store === undefined) works.shift()?.();
      else port.finish(store);
    }
  };
  const open = (uid = ALICE): UserEventFile => {
    const file = domain.openFile(uid);
    if (typeof file === 'string') throw new Error(file);
    return file;
  };
  return { domain, port, works, delaysNs, addTask, settle, open };
}

function requester(tid: number, uid = ALICE, capable = false): Requester {
  return { tid: Tid(tid), uid, perfmonCapable: () => capable };
}

function register(file: UserEventFile, who: Requester, word: number, command: string): unknown[] {
  const answers: unknown[] = [];
  const request = {
    enableBit: 31,
    enableSize: 8,
    enableAddress: Address(START + 8n * BigInt(word)),
    persist: false,
    multiFormat: false,
    nameAddress: Address(0n),
  } as const;
  file.register(who, request, command, (answer) => answers.push(answer));
  return answers;
}

function tracer(isAccepting = true): EventTracer & { payloads: string[] } {
  const payloads: string[] = [];
  return {
    payloads,
    accepts: () => isAccepting,
    record: (_event, _pid, payload) => payloads.push(Buffer.from(payload).toString('hex')),
  };
}

const eventNamed = (domain: UserEvents, name: string): UserEvent => {
  const event = [...domain.events].find((one) => one.name === name);
  if (event === undefined) throw new Error(`no event ${name}`);
  return event;
};

const indexed = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(`00000000${hex}`, 'hex'));

describe('UserEventFile.register()', () => {
  it('answers when the bit was written, not before', () => {
    const { port, addTask, open } = system();
    addTask(1);
    const answers = register(open(), requester(1), 0, 'ev u32 a');
    expect(answers).toEqual([]);
    for (const store of port.pending) port.finish(store);
    expect(answers).toEqual([{ writeIndex: 0 }]);
  });

  it('answers ENOMEM when the page hangs, and lets another page go on', () => {
    const { port, addTask, open } = system();
    addTask(1);
    const file = open();
    const hanging = register(file, requester(1), 0, 'ev');
    const other = register(file, requester(1), 1, 'ev');
    const [store] = port.pending;
    if (store !== undefined) port.giveUp(store);
    expect(hanging).toEqual(['ENOMEM']);
    const [second] = port.pending;
    if (second !== undefined) port.finish(second);
    expect(other).toEqual([{ writeIndex: 0 }]);
  });

  it.each<[string, Partial<Limits>, ErrnoName]>([
    ['events', { events: 1 }, 'EMFILE'],
    ['events of a user', { eventsPerUser: 1 }, 'EMFILE'],
    ['references of a file', { referencesPerFile: 1 }, 'ENOMEM'],
    ['enablers of an address space', { enablersPerAddressSpace: 1 }, 'ENOMEM'],
    ['enablers of a user', { enablersPerUser: 1 }, 'ENOMEM'],
  ])('keeps to the bound on %s', (_, limits, errno) => {
    const { domain, addTask, open, settle } = system(limits);
    addTask(1);
    const file = open();
    register(file, requester(1), 0, 'one');
    settle();
    expect(register(file, requester(1), 1, 'two')).toEqual([errno]);
    file.release();
    domain.taskExited(Tid(1));
    settle();
    expect(domain.events.size).toBe(0);
  });

  it('leaves a user other than the owner a quarter', () => {
    const { addTask, open, settle } = system({ eventsPerUser: 8 });
    addTask(1);
    const file = open(BOB);
    const answers = ['one', 'two', 'three'].map((name, word) => {
      const answer = register(file, requester(1, BOB), word, name);
      settle();
      return answer;
    });
    expect(answers).toEqual([[{ writeIndex: 0 }], [{ writeIndex: 1 }], ['EMFILE']]);
  });

  it('keeps to the bound on address spaces', () => {
    const { addTask, open, settle } = system({ addressSpaces: 1 });
    addTask(1);
    addTask(2);
    register(open(), requester(1), 0, 'one');
    settle();
    expect(register(open(BOB), requester(2, BOB), 0, 'two')).toEqual(['ENOMEM']);
  });

  it("leaves other users their share when one's is used up", () => {
    const { addTask, open, settle } = system({ eventsPerUser: 1, addressSpacesPerUser: 1 });
    addTask(1);
    addTask(2);
    addTask(3);
    register(open(), requester(1), 0, 'one');
    settle();
    expect(register(open(), requester(2), 0, 'one')).toEqual(['ENOMEM']);
    const answers = register(open(BOB), requester(3, BOB), 0, 'two');
    settle();
    expect(answers).toEqual([{ writeIndex: 0 }]);
  });
});

describe('UserEventFile.unregister()', () => {
  it('knows no bits that no word has, whatever is registered near by', () => {
    const { addTask, open, settle } = system();
    addTask(1);
    const file = open();
    register(file, requester(1), 1, 'ev');
    settle();
    const unregister = (disableAddress: bigint, disableBit: number): unknown[] => {
      const answers: unknown[] = [];
      const request = { disableAddress: Address(disableAddress), disableBit };
      file.unregister(requester(1), request, (answer) => answers.push(answer));
      settle();
      return answers;
    };
    for (let bytes = 1; bytes <= 3; bytes++)
      expect(unregister(START + 8n - BigInt(bytes), 31 + 64 * bytes)).toEqual(['ENOENT']);
    expect(unregister(START + 8n, 31)).toEqual(['ok']);
  });
});

describe('UserEvents.openFile()', () => {
  it('keeps to the bound on files of a user', () => {
    const { domain, open } = system({ filesPerUser: 1 });
    const file = open();
    expect(domain.openFile(ALICE)).toBe('ENOMEM');
    file.release();
    expect(domain.openFile(ALICE)).not.toBe('ENOMEM');
  });
});

describe('UserEvents.taskForked()', () => {
  it('gives a child nothing when it would go over a bound', () => {
    const { domain, port, addTask, open, settle } = system({ enablersPerUser: 3 });
    const memory = addTask(1);
    register(open(), requester(1), 0, 'one');
    register(open(), requester(1), 1, 'one');
    settle();
    addTask(2, memory.copy());
    domain.taskForked(Tid(1), Tid(2), false);
    expect(domain.hasAddressSpace(Tid(2))).toBe(false);
    expect(port.openHandles).toBe(1);
  });
});

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

describe('UserEventFile.write()', () => {
  it('gives every tracer the payload', () => {
    const { domain, addTask, open, settle } = system();
    addTask(1);
    const file = open();
    register(file, requester(1), 0, 'ev u16 a');
    settle();
    const tracers = [tracer(), tracer()];
    expect(file.write(Tid(1), indexed('0102'))).toBe('EBADF');
    for (const one of tracers) eventNamed(domain, 'ev').attach(one);
    expect(file.write(Tid(1), indexed('010203'))).toBe(7);
    expect(tracers.map(({ payloads }) => payloads)).toEqual([['010203'], ['010203']]);
  });

  it('does not look at a payload that nobody would record', () => {
    const { domain, addTask, open, settle } = system();
    addTask(1);
    const file = open();
    register(file, requester(1), 0, 'ev __data_loc char[] a');
    settle();
    const deaf = tracer(false);
    eventNamed(domain, 'ev').attach(deaf);
    expect(file.write(Tid(1), indexed('ffffffff'))).toBe(8);
    expect(deaf.payloads).toEqual([]);
    eventNamed(domain, 'ev').attach(tracer());
    expect(file.write(Tid(1), indexed('ffffffff'))).toBe('EFAULT');
  });
});

describe('UserEvents.runDynamicCommand()', () => {
  it('needs the capability to make and to remove events', () => {
    const { domain } = system();
    const root = requester(1, Uid(0), true);
    expect(domain.runDynamicCommand(requester(1), 'u:ev u32 a')).toBe('EPERM');
    expect(domain.runDynamicCommand(root, 'u: ev u32 a')).toBe('ok');
    expect(domain.dynamicEventsText()).toBe('u:ev u32 a\n');
    expect(domain.runDynamicCommand(requester(1), '-:ev u32 a')).toBe('EPERM');
    expect(domain.runDynamicCommand(root, '!u:user_events/ev u32 a')).toBe('ok');
    expect(domain.dynamicEventsText()).toBe('');
  });

  it('asks for buffers to be cleared when it looked for events, found or not', () => {
    const { domain } = system();
    let requests = 0;
    domain.observers = { added: () => {}, removed: () => {}, clearRequested: () => requests++ };
    expect(domain.runDynamicCommand(requester(1), '-:none')).toBe('ENOENT');
    expect(domain.runDynamicCommand(requester(1), '-:other/none')).toBe('ENOENT');
    expect(requests).toBe(2);
    expect(domain.runDynamicCommand(requester(1), '-none')).toBe('EINVAL');
    expect(domain.runDynamicCommand(requester(1), '!none')).toBe('EINVAL');
    expect(domain.runDynamicCommand(requester(1), '-:')).toBe('EINVAL');
    expect(domain.runDynamicCommand(requester(1), 'garbage')).toBe('EINVAL');
    expect(domain.runDynamicCommand(requester(1), ' ')).toBe('ok');
    expect(requests).toBe(2);
  });
});

describe('UserEvents.statusText()', () => {
  it("lists events in the kernel's order", () => {
    const { domain } = system();
    const root = requester(1, Uid(0), true);
    for (const name of ['y', 'x', '', 'z']) domain.runDynamicCommand(root, `u:${name}`);
    eventNamed(domain, 'x').attach(tracer());
    expect(domain.statusText()).toBe('z\n\nx # Used by ftrace\ny\n\nActive: 4\nBusy: 1\n');
  });
});
