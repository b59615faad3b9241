/**
 * The breakpoints and slots in one program's memory. What is there is read, not remembered: `insert` and `remove` look at the first
 * byte of the instruction. So a fork, a mapping that was replaced, and a tracer that died need no bookkeeping of their own.
 *
 * A breakpoint is one byte, which is written and taken away while threads run: processors see the old instruction or the new one.
 * It is an invalid instruction and not int3: the thread stays before it, with SIGILL. Behind int3 it would stand in the middle of
 * the instruction that is replaced, and the kernel forgets the signal of a tracer that is killed while it looks at it: ptrace_stop()
 * then goes on as if nothing had been. So it would run what stands there. Before it, it runs into the breakpoint once more.
 *
 * Before it is written its slot is, the entry in the FallbackRegion, and the handler that looks into that.
 */

import { SIGNAL, systemCallNumber } from '@usertrace/abi';
import { ErrnoError } from '@usertrace/base';
import type { Examination } from '@usertrace/utrace';
import { INSTRUCTION_BYTES_MAX } from '../code/instruction.ts';
import type { FallbackRegion, FoundEntry } from '../fallback/fallback-region.ts';
import { findFreeMemory, type TakenMemory } from '../process/free-memory.ts';
import { isInFile } from '../process/mapped-file.ts';
import { type Mapping, mappingAt, sourceOf } from '../process/process-maps.ts';
import { makeSlot, REACH, type Slot, SLOT_BYTES, SLOT_PAGE_BYTES } from './slot.ts';
import { readIfThere } from '../process/thread-memory.ts';

/** UDB, which no processor will ever give a meaning in 64-bit mode (Intel SDM volume 2, "UD"). */
export const BREAKPOINT = 0xd6;

/** The signal of a thread that runs into one, SIGILL, in a set of signals. */
export const BREAKPOINT_SIGNAL_BIT: bigint = 1n << BigInt(SIGNAL.ILL - 1);

const MMAP = systemCallNumber('mmap');
const PROT_READ_EXEC = 5n;
/** MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE */
const MAP_FLAGS = 0x10_0022n;
/** What mmap answers where something is. */
const EXISTS = -17n;
/** What was mapped since the mappings were read, by us or by other threads, can be in the way so often. */
const SLOT_PAGE_TRIES_MAX = 64;

/** A slot, and what was mapped where its instruction stands: file and offset. */
interface PlacedSlot extends Slot {
  readonly source: string | undefined;
}

/** Those of one address space. */
export class BreakpointSet {
  /** By the address of the instruction; those of removed probes too. */
  readonly #slots = new Map<number, PlacedSlot>();
  /** Memory that may not be in the mappings yet, with which `insert` is called. */
  readonly #taken: TakenMemory[] = [];
  #slotPage = 0;
  #slotPageUsed = SLOT_PAGE_BYTES;

  /** What a child has in its copy of the memory, or more: `keepValid` finds out. */
  fork(): BreakpointSet {
    const child = new BreakpointSet();
    for (const [address, slot] of this.#slots) child.#slots.set(address, slot);
    return child;
  }

  slotAt(address: number): Slot | undefined {
    return this.#slots.get(address);
  }

  get addresses(): Iterable<number> {
    return this.#slots.keys();
  }

  /** Slots from which threads come back into a stretch of code behind its first byte. */
  slotsInto(start: number, length: number): { from: number; to: number }[] {
    const spans: { from: number; to: number }[] = [];
    for (let at = start; at < start + length; at++) {
      const slot = this.#slots.get(at);
      if (slot !== undefined) spans.push({ from: slot.address, to: slot.address + SLOT_BYTES });
    }
    return spans;
  }

  /**
   * Takes over what is in the memory and unknown here: a dead tracer's, or what a parent had put there. It is believed only where
   * the instruction, its slot and its file say the same.
   */
  adopt(look: Examination, pid: number, mappings: readonly Mapping[], entries: readonly FoundEntry[]): void {
    const firstBytes = new Map(entries.map(({ instruction, firstByte }) => [instruction, firstByte]));
    for (const entry of entries) {
      if (this.#slots.has(entry.instruction)) continue;
      const slot = foundSlot(look, entry, firstBytes);
      const mapping = mappingAt(mappings, entry.instruction);
      if (slot === undefined || mapping === undefined) continue;
      if (isInFile(pid, mapping, entry.instruction, slot.firstByte) === false) continue;
      this.#slots.set(entry.instruction, { ...slot, source: sourceOf(mapping, entry.instruction) });
    }
  }

  /**
   * Forgets slots whose memory is not there: they were made after the fork that made this space, or the program unmapped them. And
   * those whose instruction is not there, but perhaps something else, with a breakpoint of its own.
   */
  keepValid(look: Examination, mappings: readonly Mapping[], region: FallbackRegion | undefined): void {
    for (const [address, slot] of this.#slots) {
      const bytes = readIfThere(look, BigInt(slot.address), slot.bytes.length);
      const isThere = bytes !== undefined && Buffer.compare(bytes, slot.bytes) === 0;
      if (isThere && sourceOf(mappingAt(mappings, address), address) === slot.source) continue;
      this.#slots.delete(address);
      region?.drop(look, address);
    }
  }

  /**
   * Puts a breakpoint where none is.
   *
   * @param region protects the program already
   * @throws {ErrnoError} EAGAIN where memory is needed and no system call can be made; ENOMEM and ENOSPC without room
   * @throws {Error} for an instruction that may not be probed, saying why
   */
  insert(look: Examination, mappings: readonly Mapping[], region: FallbackRegion, address: number): void {
    const code = this.#originalCode(look, address);
    const known = this.#slots.get(address);
    const isThere = readIfThere(look, BigInt(address), 1)?.[0] === BREAKPOINT;
    if (isThere && known !== undefined) return;
    // Another file may be mapped here since.
    const isSame = known !== undefined && known.firstByte === code[0] && isSlotOf(known, code);
    const slot = isSame ? known : this.#makeSlot(look, mappings, address, code);
    region.put(look, { instruction: address, slot: slot.address, firstByte: slot.firstByte });
    this.#slots.set(address, slot);
    look.write(BigInt(address), Uint8Array.of(BREAKPOINT));
  }

  /** Takes a breakpoint away, if it is there. Its slot stays. */
  remove(look: Examination, address: number): void {
    const slot = this.#slots.get(address);
    if (slot !== undefined && readIfThere(look, BigInt(address), 1)?.[0] === BREAKPOINT)
      look.write(BigInt(address), Uint8Array.of(slot.firstByte));
  }

  #makeSlot(look: Examination, mappings: readonly Mapping[], address: number, code: Uint8Array): PlacedSlot {
    // Refused before memory is taken for it.
    makeSlot(code, address, address);
    const isNear = Math.abs(this.#slotPage - address) < REACH;
    if (this.#slotPageUsed + SLOT_BYTES > SLOT_PAGE_BYTES || !isNear)
      this.#mapSlotPage(look, mappings, address);
    const slot = makeSlot(code, address, this.#slotPage + this.#slotPageUsed);
    this.#slotPageUsed += SLOT_BYTES;
    look.write(BigInt(slot.address), slot.bytes);
    return { ...slot, source: sourceOf(mappingAt(mappings, address), address) };
  }

  #mapSlotPage(look: Examination, mappings: readonly Mapping[], address: number): void {
    for (let tries = 0; tries < SLOT_PAGE_TRIES_MAX; tries++) {
      const page = findFreeMemory(
        [...mappings, ...this.#taken].toSorted((one, other) => one.start - other.start),
        { size: SLOT_PAGE_BYTES, alignment: SLOT_PAGE_BYTES, near: address, reach: REACH },
      );
      if (page === undefined) break;
      const size = BigInt(SLOT_PAGE_BYTES);
      const answer = look.systemCall(MMAP, [BigInt(page), size, PROT_READ_EXEC, MAP_FLAGS, -1n, 0n]);
      if (answer !== BigInt(page) && answer !== EXISTS)
        throw new ErrnoError('ENOMEM', `Cannot map memory for slots in the program: mmap answered ${answer}`);
      this.#taken.push({ start: page, end: page + SLOT_PAGE_BYTES });
      if (answer === EXISTS) continue;
      this.#slotPage = page;
      this.#slotPageUsed = 0;
      return;
    }
    throw new ErrnoError('ENOMEM', `Cannot probe 0x${address.toString(16)}: no free memory is near`);
  }

  /** The code as the file has it: neighbours may have breakpoints too. */
  #originalCode(look: Examination, address: number): Uint8Array {
    const code = Uint8Array.from(look.read(BigInt(address), INSTRUCTION_BYTES_MAX));
    for (let index = 0; index < code.length; index++) {
      const slot = this.#slots.get(address + index);
      if (slot !== undefined && code[index] === BREAKPOINT) code[index] = slot.firstByte;
    }
    return code;
  }
}

function isSlotOf({ instruction, address, bytes }: Slot, code: Uint8Array): boolean {
  return Buffer.compare(makeSlot(code, instruction, address).bytes, bytes) === 0;
}

/** The slot that an entry tells of, if it is one of the instruction. */
function foundSlot(
  look: Examination,
  { instruction, slot: address, firstByte }: FoundEntry,
  firstBytes: ReadonlyMap<number, number>,
): Slot | undefined {
  const code = readIfThere(look, BigInt(instruction), INSTRUCTION_BYTES_MAX);
  const bytes = readIfThere(look, BigInt(address), SLOT_BYTES);
  if (code === undefined || bytes === undefined) return undefined;
  const original = code.map((byte, index) =>
    byte === BREAKPOINT ? (firstBytes.get(instruction + index) ?? byte) : byte,
  );
  if (original[0] !== firstByte) return undefined;
  try {
    const slot = makeSlot(original, instruction, address);
    return Buffer.compare(slot.bytes, bytes.subarray(0, slot.bytes.length)) === 0 ? slot : undefined;
  } catch {
    return undefined;
  }
}
