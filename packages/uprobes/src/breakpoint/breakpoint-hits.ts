/**
 * What happens when a thread runs into a breakpoint: the place is found through the table, the values are fetched, the consumers are
 * called, and the thread goes on in the instruction's slot: one stop for a hit.
 */

import type { Registers } from '@usertrace/abi';
import type { Examination, Task } from '@usertrace/utrace';
import { commOf } from '../process/comm.ts';
import { readIfThere } from '../process/thread-memory.ts';
import { NO_PROBE, type TableReader } from '../table/table-reader.ts';
import type { Consumer } from '../tracer/consumer.ts';
import type { ProbedPlaces } from '../tracer/probed-places.ts';
import type { ProbedSpace } from '../tracer/probed-space.ts';
import type { PlaceRole } from '../tracer/wanted-places.ts';
import { BREAKPOINT } from './breakpoint-set.ts';
import { fetchValue } from './fetching.ts';

const WORD_BYTES = 8;

/** A stop for a hit. */
interface HitStop {
  readonly task: Task;
  readonly look: Examination;
  readonly space: ProbedSpace;
}

/** Those of all programs. */
export class BreakpointHits {
  readonly #places: ProbedPlaces;
  readonly #reader: TableReader;
  readonly #failed: (reason: unknown) => void;

  /** @param failed told of what consumers throw */
  constructor(places: ProbedPlaces, reader: TableReader, failed: (reason: unknown) => void) {
    this.#places = places;
    this.#reader = reader;
    this.#failed = failed;
  }

  /**
   * A thread ran into a breakpoint. It goes on in the instruction's slot, unless the breakpoint is the program's own.
   *
   * @param task in the stop for its SIGILL
   * @param space the thread's memory
   * @returns `unknown` while nobody has looked yet at what killed tracers have left in that memory
   */
  serve(task: Task, space: ProbedSpace): 'ours' | 'mappings-change' | 'foreign' | 'unknown' {
    const look = task.examination();
    const registers = look.registers();
    const address = Number(registers.get('rip'));
    const slot = space.slotAt(address);
    if (slot === undefined) return space.isKnown ? 'foreign' : 'unknown';
    // Taken away, or replaced by a jump, since the thread ran into it: it runs what is there now.
    if (look.read(BigInt(address), 1)[0] !== BREAKPOINT) return 'ours';
    const number = this.#reader.lookup(space.identity, address);
    // Without a probe it is ours and about to be taken away, or the program's own.
    if (number === NO_PROBE && !space.isOwnPlace(address) && !space.isStale) return 'foreign';
    const stop: HitStop = { task, look, space };
    this.#closeCalls(stop, registers, address);
    for (const [consumer, role] of this.#places.rolesAt(number))
      this.#tellPlace(stop, registers, consumer, role);
    registers.set('rip', BigInt(slot.address));
    look.setRegisters(registers);
    return space.isLoaderHook(address) ? 'mappings-change' : 'ours';
  }

  #tellPlace(stop: HitStop, registers: Registers, consumer: Consumer, role: PlaceRole): void {
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
      stop.space.openCall(frame);
    } else {
      // As the caller will see it.
      const returned = registers.clone();
      returned.set('rip', BigInt(returnAddress));
      returned.set('rsp', stackPointer + BigInt(WORD_BYTES + role.site.poppedBytes));
      this.#tellReturn(stop, returned, consumer);
    }
  }

  /** Calls that return to where the thread is. */
  #closeCalls(stop: HitStop, registers: Registers, address: number): void {
    const consumers = stop.space.calls.close(stop.task.tid, address, Number(registers.get('rsp')));
    for (const consumer of consumers) this.#tellReturn(stop, registers, consumer);
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
