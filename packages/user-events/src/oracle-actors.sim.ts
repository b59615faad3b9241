/** The actors of the oracle's scenarios: tasks with 16 words in memory and 16 slots for open files each. */
import { Address, Tid, Uid } from '@usertrace/base';
import type { Requester, UserEventFile, UserEvents } from './index.ts';
import { SimulatedMemory, type SimulatedMemoryPort } from './memory.sim.ts';

/** An open file description, which fork shares. */
interface Description {
  readonly file: UserEventFile;
  users: number;
}

/** A task of a scenario. */
export interface Actor {
  readonly tid: Tid;
  memory: SimulatedMemory;
  readonly slots: Map<number, Description>;
}

const WORD_COUNT = 16;
const WORDS_START = 0x7f00_0000_0000n;
export const ROOT = Uid(0);

/** Where a word is: each at the end of a page of its own. */
export const wordAddress = (word: number): Address => Address(WORDS_START + BigInt(word) * 4096n + 4080n);

/** How the domain sees an actor: root, which may do everything. */
export function requesterOf({ tid }: Actor): Requester {
  return { tid, uid: ROOT, perfmonCapable: () => true };
}

/** Those of one scenario, which begins with `a` alone. */
export class OracleActors {
  readonly #events: UserEvents;
  readonly #port: SimulatedMemoryPort;
  readonly #byName = new Map<string, Actor>();
  #tids = 100;

  constructor(events: UserEvents, port: SimulatedMemoryPort) {
    this.#events = events;
    this.#port = port;
    this.#byName.set('a', this.#newActor(freshMemory(), new Map()));
  }

  named(name: string): Actor {
    const actor = this.#byName.get(name);
    if (actor === undefined) throw new Error(`no actor ${name}`);
    return actor;
  }

  fork(parent: Actor, name: string, sharesMemory: boolean): void {
    for (const description of parent.slots.values()) description.users++;
    const memory = sharesMemory ? parent.memory : parent.memory.copy();
    const child = this.#newActor(memory, new Map(parent.slots));
    this.#byName.set(name, child);
    this.#events.taskForked(parent.tid, child.tid, sharesMemory);
  }

  exec(actor: Actor): void {
    this.#leaveMemory(actor);
    this.#events.taskExeced(actor.tid);
    actor.memory = freshMemory();
    this.#enterMemory(actor);
  }

  exit(actor: Actor): void {
    for (const slot of actor.slots.keys()) this.close(actor, slot);
    this.#leaveMemory(actor);
    this.#events.taskExited(actor.tid);
  }

  /** @returns false when nothing is open there */
  close(actor: Actor, slot: number): boolean {
    const description = actor.slots.get(slot);
    if (description === undefined) return false;
    actor.slots.delete(slot);
    if (--description.users === 0) description.file.release();
    return true;
  }

  #newActor(memory: SimulatedMemory, slots: Map<number, Description>): Actor {
    const actor = { tid: Tid(this.#tids++), memory, slots };
    this.#enterMemory(actor);
    return actor;
  }

  #enterMemory(actor: Actor): void {
    actor.memory.users++;
    this.#port.byTask.set(actor.tid, actor.memory);
  }

  #leaveMemory(actor: Actor): void {
    actor.memory.users--;
    this.#port.byTask.delete(actor.tid);
  }
}

function freshMemory(): SimulatedMemory {
  const memory = new SimulatedMemory();
  memory.map(Address(WORDS_START), WORD_COUNT);
  return memory;
}
