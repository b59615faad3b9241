/**
 * The trampolines in one address space, the memory that they are in, and the lanes that they write. One that has no jump any more is
 * kept, to be used again for the same probes, until there are many: a thread may still be in it.
 */

import { ErrnoError } from '@usertrace/base';
import { disassemble } from '../code/instruction.ts';
import { UnmovableInstruction } from '../code/relocation.ts';
import { filterCondition } from '../filter/filter-condition.ts';
import { certainMemory } from '../process/certain-memory.ts';
import { mappingAt, readMappings, sourceOf } from '../process/process-maps.ts';
import { readIfThere } from '../process/thread-memory.ts';
import type { CertainMemory } from '../trampoline/copy-routine.ts';
import { LONG_TEXTS_SIZE, slotLayout } from '../trampoline/slot-layout.ts';
import { makeTrampoline, type TrampolineProbe } from '../trampoline/trampoline.ts';
import { CodeRegion } from './code-region.ts';
import { unmapLanes, unmapRegion } from './leftovers.ts';
import { encodeRecord, RECORD_BYTES } from './patch-record.ts';
import { SharedLanes } from './shared-lanes.ts';
import type { SpaceStillness } from './stopped-process.ts';
import type { Span } from './thread-positions.ts';
import { definitionKey, type WantedJump } from './wanted-jumps.ts';

/** Trampolines that are kept for probes that may come back. */
const IDLE_MAX = 256;
/** Memory for trampolines: 256 KiB each. */
const REGIONS_MAX = 64;

/** A trampoline in the program. */
export interface Trampoline {
  /** What it is for. */
  readonly key: string;
  /** Of its record. */
  readonly address: number;
  /** Bytes of record and code. */
  readonly size: number;
  /** Where its jump begins. */
  readonly place: number;
  /** Where the program goes on behind it; nowhere after a `ret`. */
  readonly continueAt: number | undefined;
  /** What was mapped at its place: file and offset. */
  readonly source: string | undefined;
  /** What the jump covers, without it. */
  readonly code: Uint8Array;
  /** Gates by their keys: which probes it records. */
  readonly gates: readonly string[];
  readonly region: CodeRegion;
}

/** Those of one address space. */
export class Trampolines {
  #lanes: SharedLanes | undefined;
  #regions: CodeRegion[] = [];
  readonly #byKey = new Map<string, Trampoline>();

  /** The lanes, once there are any. */
  get lanes(): SharedLanes | undefined {
    return this.#lanes;
  }

  /** Whether there is memory of theirs in the program. */
  get haveMemory(): boolean {
    return this.#regions.length > 0;
  }

  /** The same in a fork's child, which has a copy of the memory and shares the lanes. */
  fork(): Trampolines {
    const child = new Trampolines();
    child.#lanes = this.#lanes?.use();
    const regions = new Map(this.#regions.map((region) => [region, region.fork()]));
    child.#regions = [...regions.values()];
    for (const [key, trampoline] of this.#byKey)
      child.#byKey.set(key, {
        ...trampoline,
        region: regions.get(trampoline.region) ?? trampoline.region,
      });
    return child;
  }

  /** The space is gone. */
  close(): void {
    this.#lanes?.unuse();
    this.#lanes = undefined;
  }

  /** The one for a jump, if it was made. */
  of(jump: WantedJump): Trampoline | undefined {
    return this.#byKey.get(keyOf(jump));
  }

  /** Where those are, with or without a jump, from which a thread goes on within a stretch of code. */
  leadingInto({ from, to }: Span): Span[] {
    return [...this.#byKey.values()]
      .filter(({ continueAt }) => continueAt !== undefined && continueAt >= from && continueAt < to)
      .map(({ address, size }) => ({ from: address, to: address + size }));
  }

  /** The one that is what another is in the memory that this was forked from. */
  copyOf({ key }: Trampoline): Trampoline | undefined {
    return this.#byKey.get(key);
  }

  /**
   * The one that is there, or a new one.
   *
   * @returns undefined without room for it, or for its values
   * @throws {ErrnoError} EAGAIN when the thread is not stopped any more; ESRCH when it is gone
   */
  make(stillness: SpaceStillness, jump: WantedJump): Trampoline | undefined {
    const key = keyOf(jump);
    const known = this.#byKey.get(key);
    if (known !== undefined && this.#isThere(stillness, known)) return known;
    try {
      const made = this.#makeTrampoline(stillness, jump);
      if (made !== undefined) this.#byKey.set(key, made);
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

  /**
   * Gives memory back that no thread is in, if there is much of it.
   *
   * @param armed those that jumps lead to
   */
  freeIdle({ positions }: SpaceStillness, armed: ReadonlySet<Trampoline>): void {
    const idle = [...this.#byKey].filter(([, trampoline]) => !armed.has(trampoline));
    if (idle.length <= IDLE_MAX) return;
    for (const [key, { address, size, region }] of idle) {
      if (positions.areIn([{ from: address, to: address + size }])) continue;
      region.release(address, size);
      this.#byKey.delete(key);
    }
  }

  /**
   * Gives all memory back. No jump is left.
   *
   * @returns whether no thread was in it; else it stays
   */
  release(stillness: SpaceStillness): boolean {
    this.#regions = this.#regions.filter((region) => !unmapRegion(stillness, region.address));
    if (this.#regions.length > 0) return false;
    this.#byKey.clear();
    unmapLanes(stillness, this.#lanes?.identity);
    this.close();
    return true;
  }

  /** The program may have unmapped what it did not map. */
  #isThere({ look }: SpaceStillness, { address, place }: Trampoline): boolean {
    const record = readIfThere(look, BigInt(address), RECORD_BYTES);
    return record !== undefined && Buffer.from(record).readBigUInt64LE(8) === BigInt(place);
  }

  #makeTrampoline(stillness: SpaceStillness, jump: WantedJump): Trampoline | undefined {
    const { look, tid, mappings } = stillness;
    const { start, place, site } = jump;
    // Its size depends on nothing that its place does not: a first try tells it.
    const region = this.#regionNear(stillness, start);
    if (region === undefined || this.#lanes === undefined) return undefined;
    const certain = certainMemory(tid, mappings);
    const trial = this.#code(region, jump, region.address, certain);
    const size = RECORD_BYTES + trial.length;
    const block = region.allocate(size);
    if (block === undefined) return undefined;
    const code = this.#code(region, jump, block + RECORD_BYTES, certain);
    const original = Uint8Array.from(place.code);
    const bytes = Buffer.concat([encodeRecord({ size, place: start, isArmed: false, original }), code]);
    look.write(BigInt(block), bytes);
    const written = readIfThere(look, BigInt(block), bytes.length);
    if (written === undefined || Buffer.compare(written, bytes) !== 0) return undefined;
    return {
      key: keyOf(jump),
      address: block,
      size,
      place: start,
      continueAt: site === undefined ? start + place.displacedBytes : undefined,
      source: sourceOf(mappingAt(mappings, start), start),
      code: original,
      gates: gatesOf(jump),
      region,
    };
  }

  #code(
    region: CodeRegion,
    jump: WantedJump,
    address: number,
    certain: readonly CertainMemory[],
  ): Uint8Array {
    const { start, place, fileBase, site } = jump;
    const displaced = disassemble(place.code.subarray(0, place.displacedBytes), start).instructions;
    const probes = gatesOf(jump).map((gate, index): TrampolineProbe => {
      const { arguments: fetched, filter } = jump.definitions[index] as WantedJump['definitions'][number];
      const { size, textCount } = slotLayout(fetched);
      const lanes = this.#lanes?.geometryFor(size);
      const longTextLanes = textCount > 0 ? this.#lanes?.geometryFor(LONG_TEXTS_SIZE) : undefined;
      if (lanes === undefined || this.#lanes === undefined) throw new RangeError('Cannot record so much');
      const condition = filter === undefined ? undefined : filterCondition(filter.expression);
      return {
        arguments: fetched,
        lanes,
        gateAddress: region.address + this.#lanes.gateOf(gate),
        ...(longTextLanes === undefined || longTextLanes.address === lanes.address ? {} : { longTextLanes }),
        ...(condition === undefined ? {} : { condition }),
      };
    });
    return makeTrampoline({
      address,
      probeAddress: jump.address,
      displaced,
      continueAt: start + place.displacedBytes,
      ...(site === undefined ? {} : { returning: site }),
      probes,
      processWords: region.processWords,
      certainMemory: certain,
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

/**
 * A gate for each of its probes, of which the address is a part that hits tell: the instruction's, or the function's whose return it
 * is. All `ret`s of a function have the same.
 */
function gatesOf({ fileBase, definitions }: WantedJump): string[] {
  return definitions.map((definition) => `${fileBase + definition.offset} ${definitionKey(definition)}`);
}
