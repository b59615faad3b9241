/**
 * The memory that keeps a probed program alive without us: the handler for SIGILL, the table of breakpoints and slots that it looks
 * into, and what of the program's counters was raised. It is in the program, private and not writable there; a fork copies it with
 * the breakpoints, an exec drops both. It stays until the program ends, because threads may be on their way through it, and the
 * program may hold its handler's address. Who attaches later finds it, with all that a dead tracer left, and uses it further.
 *
 *     0         header
 *     512       code
 *     4096      raised counters
 *     20480     entries
 */

import { systemCallNumber } from '@usertrace/abi';
import { ErrnoError } from '@usertrace/base';
import type { Examination } from '@usertrace/utrace';
import { findFreeMemory } from '../process/free-memory.ts';
import type { Mapping } from '../process/process-maps.ts';
import { readIfThere } from '../process/thread-memory.ts';
import { ENTRY, FALLBACK_CODE_BYTES_MAX, makeFallbackCode } from './fallback-code.ts';
import { illAction, mustAnswer, setIllAction } from './remote-action.ts';
import {
  ALL_SIGNALS,
  encodeSignalAction,
  SA_ONSTACK,
  SA_RESTORER,
  SA_SIGINFO,
  SIG_DFL,
  type SignalAction,
} from './signal-action.ts';

/** Breakpoints and slots of an address space, in all its life. */
export const ENTRIES_MAX = 16_384;
/** Different counters that are raised in an address space. */
export const COUNTERS_MAX = 1_024;

const MAGIC = Buffer.from('usertrace fallback 1\0\0\0\0');
/** Offsets in the header. `isInstalled`: the handler was put in, and not taken away by us. */
const HEADER = {
  magic: 0,
  self: 24,
  entryCount: 32,
  counterCount: 36,
  isInstalled: 40,
  former: 64,
  own: 96,
  fallback: 128,
} as const;
const CODE_AT = 512;
const COUNTERS_AT = 4_096;
const COUNTER_BYTES = 16;
const ENTRIES_AT = COUNTERS_AT + COUNTERS_MAX * COUNTER_BYTES;
const REGION_BYTES = ENTRIES_AT + ENTRIES_MAX * ENTRY.size;
/** It begins at a multiple of this, which makes it quick to find in other mappings that the kernel joined it with. */
const ALIGNMENT = 65_536;
/** Places that are looked at in a program's anonymous code: 4 GiB. */
const PLACES_MAX = 65_536;

const MMAP = systemCallNumber('mmap');
const PROT_READ_EXEC = 5n;
const MAP_PRIVATE_ANONYMOUS = 0x22n;
const MAP_FIXED_NOREPLACE = 0x10_0000n;

/** An entry as it stands in the program's memory, where anybody may have written it. */
export interface FoundEntry {
  readonly instruction: number;
  readonly slot: number;
  readonly firstByte: number;
}

/** The region of one address space. */
export class FallbackRegion {
  readonly address: number;
  /** Numbers of entries by the address of their instruction. */
  readonly #numbers = new Map<number, number>();
  /** Numbers of entries that say nothing. */
  #free: number[] = [];
  #count = 0;

  private constructor(address: number) {
    this.address = address;
  }

  /**
   * Makes one. The handler is not put in yet.
   *
   * @param look at a stop where system calls can be made
   * @throws {ErrnoError} ENOMEM when the program cannot map memory; EAGAIN at a wrong stop
   */
  static map(look: Examination, mappings: readonly Mapping[], near: number): FallbackRegion {
    const wanted = { size: REGION_BYTES, alignment: ALIGNMENT, near, reach: Number.MAX_SAFE_INTEGER };
    const address = findFreeMemory(mappings, wanted);
    if (address === undefined) throw new ErrnoError('ENOMEM', 'Cannot probe: the program has no free memory');
    const flags = MAP_PRIVATE_ANONYMOUS | MAP_FIXED_NOREPLACE;
    const size = BigInt(REGION_BYTES);
    mustAnswer(
      look.systemCall(MMAP, [BigInt(address), size, PROT_READ_EXEC, flags, -1n, 0n]),
      BigInt(address),
    );
    const region = new FallbackRegion(address);
    region.#writeHeader(look, MAGIC, HEADER.magic);
    region.#writeHeader(look, words(BigInt(address)), HEADER.self);
    return region;
  }

  /** The one that is there, put in by whomever; with the same layout, or it is not seen. */
  static find(look: Examination, mappings: readonly Mapping[]): FallbackRegion | undefined {
    let places = 0;
    for (const { start, end, isExecutable, identity } of mappings) {
      if (!isExecutable || identity !== undefined) continue;
      const first = Math.ceil(start / ALIGNMENT) * ALIGNMENT;
      for (let at = first; at + REGION_BYTES <= end && places < PLACES_MAX; at += ALIGNMENT, places++) {
        if (isRegion(look, at)) return new FallbackRegion(at);
      }
    }
    return undefined;
  }

  /** All entries as they are in memory now; what they say is to be doubted. */
  readEntries(look: Examination): FoundEntry[] {
    this.#count = Math.min(this.#readU32(look, HEADER.entryCount), ENTRIES_MAX);
    this.#numbers.clear();
    this.#free = [];
    const bytes = Buffer.from(look.read(BigInt(this.address + ENTRIES_AT), this.#count * ENTRY.size));
    const found: FoundEntry[] = [];
    for (let at = 0; at + ENTRY.size <= bytes.length; at += ENTRY.size) {
      const instruction = Number(bytes.readBigUInt64LE(at + ENTRY.instruction));
      if (instruction === 0) {
        this.#free.push(at / ENTRY.size);
        continue;
      }
      this.#numbers.set(instruction, at / ENTRY.size);
      const slot = Number(bytes.readBigUInt64LE(at + ENTRY.slot));
      found.push({ instruction, slot, firstByte: bytes[at + ENTRY.firstByte] ?? 0 });
    }
    return found;
  }

  /**
   * Says where a breakpoint's instruction runs. To be done before the breakpoint is written.
   *
   * @throws {ErrnoError} ENOSPC when the table is full
   */
  put(look: Examination, { instruction, slot, firstByte }: FoundEntry): void {
    const number = this.#numbers.get(instruction) ?? this.#free.pop() ?? this.#count;
    if (number >= ENTRIES_MAX)
      throw new ErrnoError('ENOSPC', `Cannot probe: the program has ${ENTRIES_MAX} breakpoints and slots`);
    this.#writeEntry(look, number, { instruction, slot, firstByte });
    this.#numbers.set(instruction, number);
    if (number < this.#count) return;
    this.#count = number + 1;
    const count = Buffer.alloc(4);
    count.writeUInt32LE(this.#count);
    this.#writeHeader(look, count, HEADER.entryCount);
  }

  /** What stands at an instruction's address is another's by now. */
  drop(look: Examination, instruction: number): void {
    const number = this.#numbers.get(instruction);
    if (number === undefined) return;
    this.#writeEntry(look, number, { instruction: 0, slot: 0, firstByte: 0 });
    this.#numbers.delete(instruction);
    this.#free.push(number);
  }

  /** The counters that were raised, and by how much; by their addresses. */
  readCounters(look: Examination): Map<number, number> {
    const count = Math.min(this.#readU32(look, HEADER.counterCount), COUNTERS_MAX);
    const bytes = Buffer.from(look.read(BigInt(this.address + COUNTERS_AT), count * COUNTER_BYTES));
    const raised = new Map<number, number>();
    for (let at = 0; at + COUNTER_BYTES <= bytes.length; at += COUNTER_BYTES)
      raised.set(Number(bytes.readBigUInt64LE(at)), bytes.readUInt32LE(at + 8));
    return raised;
  }

  /**
   * Remembers what was raised, in the program itself: so a fork's child has what its counters have.
   *
   * @throws {ErrnoError} ENOSPC for more than COUNTERS_MAX
   */
  writeCounters(look: Examination, raised: ReadonlyMap<number, number>): void {
    if (raised.size > COUNTERS_MAX)
      throw new ErrnoError('ENOSPC', `Cannot raise more than ${COUNTERS_MAX} counters of a program`);
    const table = words(...[...raised].flatMap(([address, by]) => [BigInt(address), BigInt(by)]));
    const count = Buffer.alloc(4);
    count.writeUInt32LE(raised.size);
    if (table.length > 0) look.write(BigInt(this.address + COUNTERS_AT), table);
    this.#writeHeader(look, count, HEADER.counterCount);
  }

  /**
   * Puts the handler in, if it is not.
   *
   * @param isHandled whether the program has a handler for SIGILL, ours or another: one that it installed after ours stays
   */
  protect(look: Examination, isHandled: boolean): void {
    const isInstalled = this.#readU32(look, HEADER.isInstalled) !== 0;
    if (isInstalled && isHandled) return;
    if (!isInstalled) this.#writeCode(look, illAction(look));
    this.#writeHeader(look, words(1n), HEADER.isInstalled);
    setIllAction(look, this.address + HEADER.own);
  }

  /** Gives the program its former disposition back, unless it has another than ours by now. No breakpoint may be left. */
  release(look: Examination): void {
    if (this.#readU32(look, HEADER.isInstalled) === 0) return;
    const { handler } = illAction(look);
    if (handler === BigInt(this.address + CODE_AT)) setIllAction(look, this.address + HEADER.former);
    this.#writeHeader(look, words(0n), HEADER.isInstalled);
  }

  #writeCode(look: Examination, former: SignalAction): void {
    const address = this.address + CODE_AT;
    const code = makeFallbackCode({
      address,
      countAddress: this.address + HEADER.entryCount,
      entriesAddress: this.address + ENTRIES_AT,
      defaultActionAddress: this.address + HEADER.fallback,
      former,
    });
    const own: SignalAction = {
      handler: BigInt(address),
      // On the stack for signals, if there is one: those of Go's goroutines have no room for a frame.
      flags: SA_SIGINFO | SA_ONSTACK | SA_RESTORER,
      restorer: BigInt(code.restorer),
      mask: ALL_SIGNALS,
    };
    look.write(BigInt(address), code.bytes.subarray(0, FALLBACK_CODE_BYTES_MAX));
    this.#writeHeader(look, encodeSignalAction(former), HEADER.former);
    this.#writeHeader(look, encodeSignalAction(own), HEADER.own);
    this.#writeHeader(look, encodeSignalAction({ ...own, handler: SIG_DFL, mask: 0n }), HEADER.fallback);
  }

  #writeEntry(look: Examination, number: number, { instruction, slot, firstByte }: FoundEntry): void {
    const bytes = words(BigInt(instruction), BigInt(slot), BigInt(firstByte));
    look.write(BigInt(this.address + ENTRIES_AT + number * ENTRY.size), bytes);
  }

  #writeHeader(look: Examination, bytes: Uint8Array, at: number): void {
    look.write(BigInt(this.address + at), bytes);
  }

  #readU32(look: Examination, at: number): number {
    return Buffer.from(look.read(BigInt(this.address + at), 4)).readUInt32LE();
  }
}

function isRegion(look: Examination, address: number): boolean {
  const bytes = readIfThere(look, BigInt(address), HEADER.self + 8);
  if (bytes === undefined || bytes.length < HEADER.self + 8) return false;
  const header = Buffer.from(bytes);
  return (
    header.subarray(0, MAGIC.length).equals(MAGIC) && header.readBigUInt64LE(HEADER.self) === BigInt(address)
  );
}

function words(...values: readonly bigint[]): Uint8Array {
  return new Uint8Array(BigUint64Array.from(values).buffer);
}
