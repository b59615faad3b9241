/**
 * The places that are probed, and what happens at a hit: the place is found through the table, the values are fetched, the consumers
 * are called. A place is in force from its first consumer to its last.
 */

import { readFileSync } from 'node:fs';
import type { Registers } from '@usertrace/abi';
import type { Examination, Task } from '@usertrace/utrace';
import type { ProbeDefinition } from '../definition/definition.ts';
import type { FileProbe } from '../table/table-layout.ts';
import { NO_PROBE, type TableReader } from '../table/table-reader.ts';
import { fetchValue, type FetchedValue } from './fetching.ts';
import type { FileNumbers } from './file-numbers.ts';
import { BREAKPOINT, type ProbedSpace } from './probed-space.ts';
import { readIfThere } from './thread-memory.ts';

/** What a hit tells. */
export interface Hit {
  readonly definition: ProbeDefinition;
  readonly tid: number;
  readonly tgid: number;
  readonly comm: string;
  /** Of the instruction. */
  readonly address: number;
  /** In the order of the definition's arguments. */
  readonly values: readonly FetchedValue[];
}

/** A definition that is in force. */
export interface Consumer {
  readonly definition: ProbeDefinition;
  readonly hit: (hit: Hit) => void;
}

/** A place in a file with its consumers. */
interface Place extends FileProbe {
  readonly key: string;
  readonly consumers: Set<Consumer>;
}

/** All places. */
export class ProbedPlaces {
  readonly #files: FileNumbers;
  readonly #reader: TableReader;
  readonly #failed: (reason: unknown) => void;
  readonly #byKey = new Map<string, Place>();
  readonly #byNumber = new Map<number, Place>();
  #count = 0;

  /** @param failed told of what consumers throw */
  constructor(files: FileNumbers, reader: TableReader, failed: (reason: unknown) => void) {
    this.#files = files;
    this.#reader = reader;
    this.#failed = failed;
  }

  /** Those in force. */
  get all(): readonly FileProbe[] {
    return [...this.#byKey.values()];
  }

  add(consumer: Consumer): void {
    const { fileIdentity, offset } = consumer.definition;
    const key = keyOf(consumer);
    const known = this.#byKey.get(key);
    if (known !== undefined) {
      known.consumers.add(consumer);
      return;
    }
    const file = this.#files.of(fileIdentity);
    const consumers = new Set([consumer]);
    const place: Place = { key, file, offset: Number(offset), number: this.#count++, consumers };
    this.#byKey.set(key, place);
    this.#byNumber.set(place.number, place);
  }

  /** @returns whether its place is no longer probed */
  remove(consumer: Consumer): boolean {
    const place = this.#byKey.get(keyOf(consumer));
    if (place === undefined || !place.consumers.delete(consumer) || place.consumers.size > 0) return false;
    this.#drop(place);
    return true;
  }

  clear(): void {
    for (const place of this.#byKey.values()) this.#drop(place);
  }

  /**
   * A thread ran into a breakpoint.
   *
   * @param task in the stop for its SIGTRAP
   * @param space the thread's memory
   * @returns whether the breakpoint is ours, and the thread will go on behind it; else it is the program's own
   */
  hit(task: Task, space: ProbedSpace): boolean {
    const look = task.examination();
    const registers = look.registers();
    // int3 has been executed.
    const address = Number(registers.get('rip')) - 1;
    const slot = space.slotAt(address);
    if (slot === undefined) return false;
    const number = this.#reader.lookup(space.identity, address);
    // Without a probe it is the program's own breakpoint, or ours, taken away after this thread had run into it.
    if (number === NO_PROBE && look.read(BigInt(address), 1)[0] === BREAKPOINT) return false;
    registers.set('rip', BigInt(address));
    for (const consumer of this.#byNumber.get(number)?.consumers ?? []) {
      try {
        consumer.hit(hitOf(consumer, task, look, registers, space));
      } catch (error) {
        this.#failed(error);
      }
    }
    registers.set('rip', BigInt(number === NO_PROBE ? address : slot.address));
    look.setRegisters(registers);
    return true;
  }

  #drop(place: Place): void {
    this.#byKey.delete(place.key);
    this.#byNumber.delete(place.number);
  }
}

function keyOf({ definition: { fileIdentity, offset } }: Consumer): string {
  return `${fileIdentity}+${offset}`;
}

/** @param registers those of the hit, with the instruction's address */
function hitOf(
  { definition }: Consumer,
  { tid, tgid }: Task,
  look: Examination,
  registers: Registers,
  space: ProbedSpace,
): Hit {
  const comm = commOf(tid);
  const port = {
    registers,
    comm,
    addressOf: (offset: bigint) => {
      const found = space.addressOf(definition.fileIdentity, Number(offset));
      return found === undefined ? undefined : BigInt(found);
    },
    read: (from: bigint, size: number) => readIfThere(look, from, size),
  };
  const values = definition.arguments.map((argument) => fetchValue(argument, port));
  return { definition, tid, tgid, comm, address: Number(registers.get('rip')), values };
}

function commOf(tid: number): string {
  try {
    return readFileSync(`/proc/${tid}/comm`, 'latin1').trimEnd();
  } catch {
    return '';
  }
}
