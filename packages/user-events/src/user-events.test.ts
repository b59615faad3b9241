import { Address, type ErrnoName, Tid, Uid } from '@usertrace/base';
import { describe, expect, it } from 'vitest';
import type { Limits } from './limits.ts';
import {
  START,
  ALICE,
  BOB,
  system,
  requester,
  register,
  tracer,
  eventNamed,
  indexed,
} from './small-domain.sim.ts';

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
