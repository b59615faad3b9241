/** A domain with one process per task id, whose stores and deferred work end when a test says so. */
import { Address, Tid, Uid } from '@usertrace/base';
import { type EventTracer, type Requester, type UserEvent, type UserEventFile, UserEvents } from './index.ts';
import type { Limits } from './limits.ts';
import { SimulatedMemory, SimulatedMemoryPort } from './memory.sim.ts';

export const START = 0x1000n;
export const ALICE = Uid(1000);
export const BOB = Uid(1001);

/** A domain with one process per task id, all with one mapped page. */
export function system(limits: Partial<Limits> = {}) {
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

export function requester(tid: number, uid = ALICE, capable = false): Requester {
  return { tid: Tid(tid), uid, perfmonCapable: () => capable };
}

export function register(file: UserEventFile, who: Requester, word: number, command: string): unknown[] {
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

export function tracer(isAccepting = true): EventTracer & { payloads: string[] } {
  const payloads: string[] = [];
  return {
    payloads,
    accepts: () => isAccepting,
    record: (_event, _pid, payload) => payloads.push(Buffer.from(payload).toString('hex')),
  };
}

export const eventNamed = (domain: UserEvents, name: string): UserEvent => {
  const event = [...domain.events].find((one) => one.name === name);
  if (event === undefined) throw new Error(`no event ${name}`);
  return event;
};

export const indexed = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(`00000000${hex}`, 'hex'));
