/** The tasks of a simulated system, and the memory that they run in. */

import { Address, Tid } from '@usertrace/base';
import { SimulatedMemory, type SimulatedMemoryPort } from './memory.sim.ts';
import type { Bit } from './model.sim.ts';

/** A task. */
export interface Task {
  readonly tid: Tid;
  memory: SimulatedMemory;
}

/** The first of the pages that every program maps. */
export const START = 0x1000_0000n;
/** The other one, whose protection changes. */
export const OTHER_PAGE = START + 4096n;
/** Two words share eight bytes, some bits share a byte, and two are on a page whose protection changes. */
export const BITS: readonly Bit[] = [
  { address: START, bit: 0 },
  { address: START, bit: 31 },
  { address: START + 4n, bit: 0 },
  { address: START + 4n, bit: 3 },
  { address: START + 8n, bit: 63 },
  { address: OTHER_PAGE, bit: 31 },
  { address: OTHER_PAGE + 8n, bit: 31 },
];
/** What the program keeps in other bits of the first word. */
export const PROGRAMS_BITS = 0x0000_1230_1234_5600n;
const TASKS_MAX = 8;

/** The tasks. A task leaves its memory by exec and exit, whether or not the domain is told. */
export class SimulatedTasks {
  readonly all: Task[] = [];
  readonly #port: SimulatedMemoryPort;
  #tids = 1;

  constructor(port: SimulatedMemoryPort) {
    this.#port = port;
  }

  get isFull(): boolean {
    return this.all.length >= TASKS_MAX;
  }

  /** Makes a task that runs in a memory. */
  add(memory: SimulatedMemory): Task {
    const task = { tid: Tid(this.#tids++), memory };
    this.enterMemory(task, memory);
    this.all.push(task);
    return task;
  }

  /** A task that has left its memory is no more. */
  remove(task: Task): void {
    this.all.splice(this.all.indexOf(task), 1);
  }

  enterMemory(task: Task, memory: SimulatedMemory): void {
    task.memory = memory;
    memory.users++;
    this.#port.byTask.set(task.tid, memory);
  }

  leaveMemory(task: Task): void {
    if (this.#port.byTask.delete(task.tid)) task.memory.users--;
  }
}

/** What a program has when it begins. */
export function freshMemory(): SimulatedMemory {
  const memory = new SimulatedMemory();
  memory.map(Address(START), 2);
  memory.writeWord(Address(START), PROGRAMS_BITS);
  return memory;
}
