/**
 * The places that are probed, and what happens at a hit: the place is found through the table, the values are fetched, the consumers
 * are called. A place is in force from its first consumer to its last; a consumer has one place, or as many as its function has
 * returns.
 */

import type { Registers } from '@usertrace/abi';
import type { Examination, Task } from '@usertrace/utrace';
import type { ProbeDefinition } from '../definition/definition.ts';
import type { FileProbe } from '../table/table-layout.ts';
import { NO_PROBE, type TableReader } from '../table/table-reader.ts';
import { BREAKPOINT } from './breakpoint-set.ts';
import type { CountedProbe } from './counters.ts';
import { commOf } from './comm.ts';
import { fetchValue, type FetchedValue } from './fetching.ts';
import type { FileNumbers } from './file-numbers.ts';
import type { ProbedSpace } from './probed-space.ts';
import { readIfThere } from './thread-memory.ts';

const WORD_BYTES = 8;

/** What a hit tells. */
export interface Hit {
  readonly definition: ProbeDefinition;
  readonly tid: number;
  readonly tgid: number;
  readonly comm: string;
  /** Of the instruction; of the function for a return probe. */
  readonly address: number;
  /** Where the function returned to; of return probes alone. */
  readonly returnAddress: number | undefined;
  /** In the order of the definition's arguments. */
  readonly values: readonly FetchedValue[];
  /** When, by CLOCK_MONOTONIC, in nanoseconds. */
  readonly timeNs: bigint;
}

/** A definition that is in force. */
export interface Consumer {
  readonly definition: ProbeDefinition;
  readonly hit: (hit: Hit) => void;
  /** Returns that were not told of, because there were too many calls or their caller's code cannot be probed. */
  misses: number;
}

/** What a place is to a consumer. */
export type PlaceRole =
  /** The instruction that the definition names. */
  | { readonly kind: 'instruction' }
  /** A `ret` of its function; it takes so many bytes from the stack besides the return address. */
  | { readonly kind: 'return'; readonly poppedBytes: number }
  /** The function's entry, from where its return is followed. */
  | { readonly kind: 'call' };

/** A place that a consumer wants, by its offset in the definition's file. */
export interface WantedPlace {
  readonly offset: number;
  readonly role: PlaceRole;
}

/** A place in a file with what it is to its consumers. */
export interface ProbedPlace extends FileProbe {
  readonly roles: ReadonlyMap<Consumer, PlaceRole>;
}

interface Place extends ProbedPlace {
  readonly key: string;
  readonly roles: Map<Consumer, PlaceRole>;
}

/** A stop for a hit. */
interface HitStop {
  readonly task: Task;
  readonly look: Examination;
  readonly space: ProbedSpace;
}

/** All places. */
export class ProbedPlaces {
  readonly #files: FileNumbers;
  readonly #reader: TableReader;
  readonly #failed: (reason: unknown) => void;
  readonly #byKey = new Map<string, Place>();
  readonly #byNumber = new Map<number, Place>();
  readonly #byConsumer = new Map<Consumer, Place[]>();
  #count = 0;

  /** @param failed told of what consumers throw */
  constructor(files: FileNumbers, reader: TableReader, failed: (reason: unknown) => void) {
    this.#files = files;
    this.#reader = reader;
    this.#failed = failed;
  }

  /** Those in force. */
  get all(): readonly ProbedPlace[] {
    return [...this.#byKey.values()];
  }

  /** One for each instruction or function that is probed with a counter. */
  get counters(): readonly CountedProbe[] {
    const counted = new Map<string, CountedProbe>();
    for (const { definition } of this.#byConsumer.keys()) {
      const { fileIdentity: identity, offset, counterOffset } = definition;
      if (counterOffset !== 0n)
        counted.set(`${identity}+${offset} ${counterOffset}`, {
          identity,
          counterOffset: Number(counterOffset),
        });
    }
    return [...counted.values()];
  }

  /** Whether the returns of some function are followed from its entry. */
  get hasCalls(): boolean {
    return [...this.#byKey.values()].some(({ roles }) =>
      [...roles.values()].some(({ kind }) => kind === 'call'),
    );
  }

  add(consumer: Consumer, wanted: readonly WantedPlace[]): void {
    const { fileIdentity } = consumer.definition;
    const places = wanted.map(({ offset, role }) => {
      const place = this.#placeAt(fileIdentity, offset);
      place.roles.set(consumer, role);
      return place;
    });
    this.#byConsumer.set(consumer, places);
  }

  /** @returns whether something has to change in programs */
  remove(consumer: Consumer): boolean {
    const places = this.#byConsumer.get(consumer);
    if (places === undefined) return false;
    this.#byConsumer.delete(consumer);
    for (const place of places) {
      place.roles.delete(consumer);
      if (place.roles.size > 0) continue;
      this.#byKey.delete(place.key);
      this.#byNumber.delete(place.number);
    }
    return true;
  }

  clear(): void {
    for (const consumer of this.#byConsumer.keys()) this.remove(consumer);
  }

  /**
   * A thread ran into a breakpoint. It goes on in the instruction's slot, unless the breakpoint is the program's own.
   *
   * @param task in the stop for its SIGILL
   * @param space the thread's memory
   */
  hit(task: Task, space: ProbedSpace): 'ours' | 'mappings-change' | 'foreign' {
    const look = task.examination();
    const registers = look.registers();
    const address = Number(registers.get('rip'));
    const slot = space.slotAt(address);
    if (slot === undefined) return 'foreign';
    // Taken away, or replaced by a jump, since the thread ran into it: it runs what is there now.
    if (look.read(BigInt(address), 1)[0] !== BREAKPOINT) return 'ours';
    const number = this.#reader.lookup(space.identity, address);
    // Without a probe it is ours and about to be taken away, or the program's own.
    if (number === NO_PROBE && !space.isOwnPlace(address) && !space.isStale) return 'foreign';
    const stop: HitStop = { task, look, space };
    this.#closeCalls(stop, registers, address);
    for (const [consumer, role] of this.#byNumber.get(number)?.roles ?? [])
      this.#serve(stop, registers, consumer, role);
    registers.set('rip', BigInt(slot.address));
    look.setRegisters(registers);
    return space.isLoaderHook(address) ? 'mappings-change' : 'ours';
  }

  #placeAt(identity: string, offset: number): Place {
    const key = `${identity}+${offset}`;
    const known = this.#byKey.get(key);
    if (known !== undefined) return known;
    const place: Place = {
      key,
      file: this.#files.of(identity),
      offset,
      number: this.#count++,
      roles: new Map(),
    };
    this.#byKey.set(key, place);
    this.#byNumber.set(place.number, place);
    return place;
  }

  #serve(stop: HitStop, registers: Registers, consumer: Consumer, role: PlaceRole): void {
    if (role.kind === 'instruction') {
      this.#tell(stop, registers, consumer, Number(registers.get('rip')), undefined);
      return;
    }
    const stackPointer = registers.get('rsp');
    const returnAddress = wordAt(stop.look, stackPointer);
    if (returnAddress === undefined) {
      consumer.misses += 1;
    } else if (role.kind === 'call') {
      const frame = { tid: stop.task.tid, stackAddress: Number(stackPointer), returnAddress, call: consumer };
      for (const { call } of stop.space.openCall(frame)) call.misses += 1;
    } else {
      // As the caller will see it.
      const returned = registers.clone();
      returned.set('rip', BigInt(returnAddress));
      returned.set('rsp', stackPointer + BigInt(WORD_BYTES + role.poppedBytes));
      this.#tellReturn(stop, returned, consumer);
    }
  }

  /** Calls that return to where the thread is. */
  #closeCalls(stop: HitStop, registers: Registers, address: number): void {
    const frames = stop.space.calls.close(stop.task.tid, address, Number(registers.get('rsp')));
    for (const { call } of frames) this.#tellReturn(stop, registers, call);
  }

  #tellReturn(stop: HitStop, registers: Registers, consumer: Consumer): void {
    const { fileIdentity, offset } = consumer.definition;
    const address = stop.space.addressOf(fileIdentity, Number(offset)) ?? 0;
    this.#tell(stop, registers, consumer, address, Number(registers.get('rip')));
  }

  #tell(
    stop: HitStop,
    registers: Registers,
    consumer: Consumer,
    address: number,
    returnAddress: number | undefined,
  ): void {
    const { definition } = consumer;
    const { tid, tgid } = stop.task;
    const comm = commOf(tid);
    const port = {
      registers,
      comm,
      addressOf: (offset: bigint) => {
        const found = stop.space.addressOf(definition.fileIdentity, Number(offset));
        return found === undefined ? undefined : BigInt(found);
      },
      read: (from: bigint, size: number) => readIfThere(stop.look, from, size),
    };
    try {
      const values = definition.arguments.map((argument) => fetchValue(argument, port));
      const timeNs = process.hrtime.bigint();
      consumer.hit({ definition, tid, tgid, comm, address, returnAddress, values, timeNs });
    } catch (error) {
      this.#failed(error);
    }
  }
}

function wordAt(look: Examination, address: bigint): number | undefined {
  const bytes = readIfThere(look, address, WORD_BYTES);
  return bytes?.length === WORD_BYTES ? Number(Buffer.from(bytes).readBigUInt64LE()) : undefined;
}
