/**
 * The jumps in one address space: where they are, their trampolines, and the memory of those. It changes them only while all threads
 * stand still.
 *
 *     armed       the jump is in the code
 *     idle        it was; a thread may still be in the trampoline, which stays, to be used again for the same probes
 *     free        no thread was in it at a stop of all: other trampolines may take its memory
 */

import { ErrnoError } from '@usertrace/base';
import type { Examination } from '@usertrace/utrace';
import { type Mapping, mappingAt, readMappings, sourceOf } from '../breakpoint/process-maps.ts';
import { readIfThere } from '../breakpoint/thread-memory.ts';
import { disassemble } from '../code/instruction.ts';
import { UnmovableInstruction } from '../code/relocation.ts';
import { filterCondition } from '../filter/filter-condition.ts';
import { makeTrampoline, slotLayout } from '../trampoline/trampoline.ts';
import { CodeRegion } from './code-region.ts';
import { hasLeftovers, takeLeftovers, unmapLanes, unmapRegion } from './leftovers.ts';
import { encodeRecord, IS_ARMED_AT, jumpFrom, RECORD_BYTES } from './patch-record.ts';
import { SharedLanes } from './shared-lanes.ts';
import type { Span, ThreadPositions } from './thread-positions.ts';
import { definitionKey, type JumpObstacle, type WantedJump } from './wanted-jumps.ts';

/** Trampolines that are kept for probes that may come back. */
const IDLE_MAX = 256;
/** Memory for trampolines: 256 KiB each. */
const REGIONS_MAX = 64;

/** A trampoline in the program. */
interface Trampoline {
  /** Of its record. */
  readonly address: number;
  /** Bytes of record and code. */
  readonly size: number;
  readonly place: number;
  /** What was mapped there: file and offset. */
  readonly source: string | undefined;
  /** What the jump covers, without it. */
  readonly code: Uint8Array;
  /** Gates by their keys: which probes it records. */
  readonly gates: readonly string[];
  readonly region: CodeRegion;
}

/** All threads stand still. */
export interface SpaceStillness {
  /** At a thread that can call the system. */
  readonly look: Examination;
  /** That thread. */
  readonly tid: number;
  readonly mappings: readonly Mapping[];
  readonly positions: ThreadPositions;
}

/** The jumps of an address space. */
export class JumpedSpace {
  #lanes: SharedLanes | undefined;
  #regions: CodeRegion[] = [];
  #hasTakenLeftovers = false;
  /** All that are in memory, by what they are for. */
  readonly #trampolines = new Map<string, Trampoline>();
  /** By the place's address. */
  readonly #armed = new Map<number, Trampoline>();

  /** The lanes, once there are any. */
  get lanes(): SharedLanes | undefined {
    return this.#lanes;
  }

  /** The same in a fork's child, which has a copy of the memory and shares the lanes. */
  fork(): JumpedSpace {
    const child = new JumpedSpace();
    child.#lanes = this.#lanes?.use();
    const regions = new Map(this.#regions.map((region) => [region, region.fork()]));
    child.#regions = [...regions.values()];
    for (const [key, trampoline] of this.#trampolines) {
      const region = regions.get(trampoline.region) ?? trampoline.region;
      const copy = { ...trampoline, region };
      child.#trampolines.set(key, copy);
      if (this.#armed.get(trampoline.place) === trampoline) child.#armed.set(trampoline.place, copy);
    }
    return child;
  }

  /** The space is gone. */
  close(): void {
    this.#lanes?.unuse();
    this.#lanes = undefined;
  }

  isArmed(address: number): boolean {
    return this.#armed.has(address);
  }

  /** Of the places where jumps are. */
  get addresses(): Iterable<number> {
    return this.#armed.keys();
  }

  /** Whether an address lies in what a jump covers. */
  isIn(address: number): boolean {
    for (const [place, { code }] of this.#armed)
      if (address >= place && address < place + code.length) return true;
    return false;
  }

  /** Whether jumps have to come or go. */
  differs(wanted: ReadonlyMap<number, WantedJump>): boolean {
    return this.#armed.size !== wanted.size || ![...wanted.values()].every((jump) => this.#isArmedFor(jump));
  }

  /** Whether there is memory of trampolines in the program, ours or a dead tracer's. */
  hasMemory(mappings: readonly Mapping[]): boolean {
    return this.#regions.length > 0 || this.hasLeftovers(mappings);
  }

  /** Whether another tracer has left something that was not looked at yet. */
  hasLeftovers(mappings: readonly Mapping[]): boolean {
    return !this.#hasTakenLeftovers && hasLeftovers(mappings, this.#lanes?.identity);
  }

  /**
   * Takes away what a dead tracer has left.
   *
   * @param isLastTry whether what a thread is in may stay for good
   * @returns whether it is done; not when a thread is in the way
   */
  takeLeftovers(stillness: SpaceStillness, pid: number, isLastTry: boolean): boolean {
    const isGone = takeLeftovers(stillness, pid, this.#lanes?.identity);
    this.#hasTakenLeftovers = isGone || isLastTry;
    return this.#hasTakenLeftovers;
  }

  /**
   * Gives all memory back. No jump is left.
   *
   * @returns whether no thread was in it; else it stays
   */
  release(stillness: SpaceStillness): boolean {
    this.#regions = this.#regions.filter((region) => !unmapRegion(stillness, region.address));
    if (this.#regions.length > 0) return false;
    this.#trampolines.clear();
    unmapLanes(stillness, this.#lanes?.identity);
    this.#lanes?.unuse();
    this.#lanes = undefined;
    return true;
  }

  /** Forgets jumps whose memory shows something else by now, or in which something else was written over them. */
  keepValid(look: Examination, mappings: readonly Mapping[]): void {
    for (const [address, trampoline] of this.#armed) {
      const jump = jumpFrom(address, trampoline.address + RECORD_BYTES);
      const there = readIfThere(look, BigInt(address), jump.length);
      const isThere = there !== undefined && Buffer.compare(there, jump) === 0;
      if (!isThere || sourceOf(mappingAt(mappings, address), address) !== trampoline.source)
        this.#armed.delete(address);
    }
  }

  /** Takes away the jumps that are not wanted as they are. */
  disarm({ look }: SpaceStillness, wanted: ReadonlyMap<number, WantedJump>): void {
    for (const [address, trampoline] of this.#armed) {
      const jump = wanted.get(address);
      if (jump !== undefined && this.#isArmedFor(jump)) continue;
      look.write(BigInt(address), trampoline.code.subarray(0, jumpFrom(0, 0).length));
      look.write(BigInt(trampoline.address + IS_ARMED_AT), new Uint8Array(4));
      this.#armed.delete(address);
    }
  }

  /**
   * Puts in a jump.
   *
   * @param forbidden where no thread may be besides: in slots that come back into what the jump covers
   * @param gateOpened told of each gate that the jump leads to
   * @returns why it cannot be
   * @throws {ErrnoError} EAGAIN when the thread is not stopped any more
   */
  arm(
    stillness: SpaceStillness,
    jump: WantedJump,
    forbidden: readonly Span[],
    gateOpened: (lanes: SharedLanes, gate: string) => void,
  ): JumpObstacle | undefined {
    const { look, positions } = stillness;
    const { address, place } = jump;
    const inside = { from: address + 1, to: address + place.code.length };
    if (positions.areIn([inside, ...forbidden])) return 'thread-inside';
    const there = readIfThere(look, BigInt(address), place.code.length);
    if (there === undefined || Buffer.compare(there, place.code) !== 0) return 'changed-code';
    const trampoline = this.#trampolineFor(stillness, jump);
    if (trampoline === undefined) return 'no-room';
    const { lanes } = this;
    if (lanes !== undefined) for (const gate of trampoline.gates) gateOpened(lanes, gate);
    look.write(BigInt(trampoline.address + IS_ARMED_AT), Uint8Array.of(1, 0, 0, 0));
    look.write(BigInt(address), jumpFrom(address, trampoline.address + RECORD_BYTES));
    this.#armed.set(address, trampoline);
    return undefined;
  }

  /** Gives memory back that no thread is in, if there is much of it. */
  freeIdle({ positions }: SpaceStillness): void {
    const armed = new Set(this.#armed.values());
    const idle = [...this.#trampolines].filter(([, trampoline]) => !armed.has(trampoline));
    if (idle.length <= IDLE_MAX) return;
    for (const [key, { address, size, region }] of idle) {
      if (positions.areIn([{ from: address, to: address + size }])) continue;
      region.release(address, size);
      this.#trampolines.delete(key);
    }
  }

  #isArmedFor(jump: WantedJump): boolean {
    const armed = this.#armed.get(jump.address);
    return armed !== undefined && armed === this.#trampolines.get(keyOf(jump));
  }

  /** The one that is there, or a new one; undefined without room for it. */
  #trampolineFor(stillness: SpaceStillness, jump: WantedJump): Trampoline | undefined {
    const key = keyOf(jump);
    const known = this.#trampolines.get(key);
    if (known !== undefined && this.#isThere(stillness, known)) return known;
    try {
      const made = this.#makeTrampoline(stillness, jump);
      if (made !== undefined) this.#trampolines.set(key, made);
      return made;
    } catch (error) {
      const isFull =
        error instanceof UnmovableInstruction ||
        error instanceof RangeError ||
        (error instanceof ErrnoError && error.code !== 'EAGAIN' && error.code !== 'ESRCH');
      if (isFull) return undefined;
      throw error;
    }
  }

  /** The program may have unmapped what it did not map. */
  #isThere({ look }: SpaceStillness, { address, place }: Trampoline): boolean {
    const record = readIfThere(look, BigInt(address), RECORD_BYTES);
    return record !== undefined && Buffer.from(record).readBigUInt64LE(8) === BigInt(place);
  }

  #makeTrampoline(stillness: SpaceStillness, jump: WantedJump): Trampoline | undefined {
    const { look, mappings } = stillness;
    const { address, place } = jump;
    // Its size depends on nothing that its place does not: a first try tells it.
    const region = this.#regionNear(stillness, address);
    if (region === undefined || this.#lanes === undefined) return undefined;
    const trial = this.#code(region, jump, region.address);
    const size = RECORD_BYTES + trial.length;
    const block = region.allocate(size);
    if (block === undefined) return undefined;
    const code = this.#code(region, jump, block + RECORD_BYTES);
    const original = Uint8Array.from(place.code);
    const bytes = Buffer.concat([encodeRecord({ size, place: address, isArmed: false, original }), code]);
    look.write(BigInt(block), bytes);
    const written = readIfThere(look, BigInt(block), bytes.length);
    if (written === undefined || Buffer.compare(written, bytes) !== 0) return undefined;
    const source = sourceOf(mappingAt(mappings, address), address);
    return { address: block, size, place: address, source, code: original, gates: gatesOf(jump), region };
  }

  #code(region: CodeRegion, jump: WantedJump, address: number): Uint8Array {
    const { place, fileBase } = jump;
    const displaced = disassemble(place.code.subarray(0, place.displacedBytes), jump.address).instructions;
    const probes = gatesOf(jump).map((gate, index) => {
      const { arguments: fetched, filter } = jump.definitions[index] as WantedJump['definitions'][number];
      const lanes = this.#lanes?.geometryFor(slotLayout(fetched).size);
      if (lanes === undefined || this.#lanes === undefined) throw new RangeError('Cannot record so much');
      const condition = filter === undefined ? undefined : filterCondition(filter.expression);
      const gateAddress = region.address + this.#lanes.gateOf(gate);
      return { arguments: fetched, lanes, gateAddress, ...(condition === undefined ? {} : { condition }) };
    });
    return makeTrampoline({
      address,
      probeAddress: jump.address,
      displaced,
      continueAt: jump.address + place.displacedBytes,
      probes,
      processWords: region.processWords,
      fileBase,
    });
  }

  #regionNear({ look, tid }: SpaceStillness, near: number): CodeRegion | undefined {
    const known = this.#regions.find((region) => region.isNear(near) && region.hasRoom);
    if (known !== undefined) return known;
    if (this.#regions.length >= REGIONS_MAX) return undefined;
    // Memory may have been mapped for us since the mappings were read.
    const region = CodeRegion.map(look, readMappings(tid), near);
    this.#lanes ??= SharedLanes.create(look, tid, region.scratch);
    region.complete(look, this.#lanes.addressInProgram);
    this.#regions.push(region);
    return region;
  }
}

/** What makes a trampoline the same: its place, and its probes in their order. */
function keyOf({ address, definitions }: WantedJump): string {
  return [address, ...definitions.map(definitionKey)].join('\n');
}

/** A gate for each of its probes, of which the place's address is a part: hits tell by it where they were. */
function gatesOf({ address, definitions }: WantedJump): string[] {
  return definitions.map((definition) => gateKey(definition, address));
}

/** @returns what a probe's gate goes by */
export function gateKey(definition: WantedJump['definitions'][number], address: number): string {
  return `${address} ${definitionKey(definition)}`;
}
