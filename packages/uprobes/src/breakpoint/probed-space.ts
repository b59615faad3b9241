/**
 * One address space with breakpoints in it. What is in its memory is read, not remembered: `bring` compares the first byte of each
 * instruction with what should be there. So a fork, a mapping that was replaced, and a probe that came in between need no
 * bookkeeping of their own.
 *
 * A breakpoint is one byte, int3, which is written and taken away while threads run: processors see the old instruction or the new
 * one.
 */

import { ErrnoError } from '@usertrace/base';
import type { Examination } from '@usertrace/utrace';
import { INSTRUCTION_BYTES_MAX } from '../code/instruction.ts';
import type { FileMapping, FileProbe } from '../table/table-layout.ts';
import type { TableWriter } from '../table/table-writer.ts';
import type { FileNumbers } from './file-numbers.ts';
import { type Mapping, readMappings } from './process-maps.ts';
import { findSlotPage, makeSlot, REACH, type Slot, SLOT_BYTES, SLOT_PAGE_BYTES } from './slot.ts';
import { readIfThere } from './thread-memory.ts';

/** The most slots of an address space: probes at different places, in all its life. */
const SLOTS_MAX = 16_384;

export const BREAKPOINT = 0xcc;
const MMAP = 9;
const PROT_READ_EXEC = 5n;
/** MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE */
const MAP_FLAGS = 0x10_0022n;

/** A slot, and what was mapped where its instruction stands: file and offset. */
interface PlacedSlot extends Slot {
  readonly source: string | undefined;
}

/** An address space. */
export class ProbedSpace {
  /** Its name in the table. */
  readonly identity: number;
  readonly #table: TableWriter;
  readonly #files: FileNumbers;
  /** By the address of the instruction; those of removed probes too. */
  readonly #slots = new Map<number, PlacedSlot>();
  #slotPage = 0;
  #slotPageUsed = SLOT_PAGE_BYTES;
  #mappings: readonly Mapping[] = [];
  /** Process ids that share it. */
  readonly users: Set<number> = new Set();
  /** Its memory may not be what it should. */
  isStale: boolean = true;

  constructor(table: TableWriter, files: FileNumbers) {
    this.#table = table;
    this.#files = files;
    this.identity = table.openSpace();
  }

  /** The memory of a child, in which all is as in its parent's when it was made. */
  fork(): ProbedSpace {
    const child = new ProbedSpace(this.#table, this.#files);
    for (const [address, slot] of this.#slots) child.#slots.set(address, slot);
    return child;
  }

  close(): void {
    this.#table.closeSpace(this.identity);
  }

  slotAt(address: number): Slot | undefined {
    return this.#slots.get(address);
  }

  /** Where a file's offset is mapped, if it is. */
  addressOf(identity: string, offset: number): number | undefined {
    const mapping = this.#mappings.find(
      (each) =>
        each.identity === identity && offset >= each.offset && offset - each.offset < each.end - each.start,
    );
    return mapping === undefined ? undefined : mapping.start + offset - mapping.offset;
  }

  /**
   * Makes its memory and its table what they should be.
   *
   * @param look at a stopped thread of it, where system calls can be made
   * @param pid of a process that has it
   * @param probes that should be there
   * @param refused told of a probe that cannot be in this memory, and why
   * @throws {ErrnoError} EAGAIN at a stop where no system call can be made; ENOSPC when the table has no room
   */
  bring(
    look: Examination,
    pid: number,
    probes: readonly FileProbe[],
    refused: (reason: unknown) => void,
  ): void {
    this.#mappings = readMappings(pid);
    this.#dropForeignSlots(look);
    const mappings = this.#executableMappings();
    const wanted = addressesOf(probes, mappings);
    // The table first: a breakpoint is found from its first hit on.
    this.#table.publish(this.identity, mappings, probes);
    for (const address of wanted) {
      try {
        this.#insert(look, address);
      } catch (error) {
        if (isWrongStop(error)) throw error;
        refused(error);
      }
    }
    for (const [address, slot] of this.#slots) if (!wanted.has(address)) this.#remove(look, slot);
    this.isStale = false;
  }

  #executableMappings(): FileMapping[] {
    const mappings: FileMapping[] = [];
    for (const { start, end, isExecutable, identity, offset } of this.#mappings) {
      const file = identity === undefined ? undefined : this.#files.known(identity);
      if (isExecutable && file !== undefined) mappings.push({ start, end, file, offset });
    }
    return mappings;
  }

  /**
   * Slots whose memory is not there: they were made after the fork that made this space, or the program unmapped them. And those
   * whose instruction is not there, but perhaps something else, with an int3 of its own.
   */
  #dropForeignSlots(look: Examination): void {
    for (const [address, slot] of this.#slots) {
      const bytes = readIfThere(look, BigInt(slot.address), slot.bytes.length);
      const isThere = bytes !== undefined && Buffer.compare(bytes, slot.bytes) === 0;
      if (!isThere || this.#sourceAt(address) !== slot.source) this.#slots.delete(address);
    }
  }

  /** What is mapped at an address. */
  #sourceAt(address: number): string | undefined {
    const mapping = this.#mappings.find(({ start, end }) => start <= address && address < end);
    return mapping?.identity === undefined
      ? undefined
      : `${mapping.identity}+${mapping.offset + address - mapping.start}`;
  }

  #insert(look: Examination, address: number): void {
    const code = this.#originalCode(look, address);
    const known = this.#slots.get(address);
    const isThere = readIfThere(look, BigInt(address), 1)?.[0] === BREAKPOINT;
    if (isThere && known !== undefined) return;
    // Another file may be mapped here since.
    const isSame = known !== undefined && known.firstByte === code[0] && isSlotOf(known, code);
    const slot = isSame ? known : this.#addSlot(look, address, code);
    this.#slots.set(address, slot);
    look.write(BigInt(address), Uint8Array.of(BREAKPOINT));
  }

  #addSlot(look: Examination, address: number, code: Uint8Array): PlacedSlot {
    if (this.#slots.size >= SLOTS_MAX)
      throw new ErrnoError(
        'ENOSPC',
        `Cannot probe 0x${address.toString(16)}: the program has ${SLOTS_MAX} slots`,
      );
    // Refused before memory is taken for it.
    makeSlot(code, address, address);
    const isNear = Math.abs(this.#slotPage - address) < REACH;
    if (this.#slotPageUsed + SLOT_BYTES > SLOT_PAGE_BYTES || !isNear) this.#mapSlotPage(look, address);
    const slot = makeSlot(code, address, this.#slotPage + this.#slotPageUsed);
    this.#slotPageUsed += SLOT_BYTES;
    look.write(BigInt(slot.address), slot.bytes);
    return { ...slot, source: this.#sourceAt(address) };
  }

  #mapSlotPage(look: Examination, address: number): void {
    const page = findSlotPage(this.#mappings, address);
    if (page === undefined)
      throw new ErrnoError('ENOMEM', `Cannot probe 0x${address.toString(16)}: no free memory is near`);
    const answer = look.systemCall(MMAP, [
      BigInt(page),
      BigInt(SLOT_PAGE_BYTES),
      PROT_READ_EXEC,
      MAP_FLAGS,
      -1n,
      0n,
    ]);
    if (answer !== BigInt(page))
      throw new ErrnoError('ENOMEM', `Cannot map memory for slots in the program: mmap answered ${answer}`);
    this.#slotPage = page;
    this.#slotPageUsed = 0;
  }

  #remove(look: Examination, { instruction, firstByte }: Slot): void {
    if (readIfThere(look, BigInt(instruction), 1)?.[0] === BREAKPOINT)
      look.write(BigInt(instruction), Uint8Array.of(firstByte));
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

/** Whether something could not be done only because of where the thread stands, or because it ran on. */
export function isWrongStop(error: unknown): boolean {
  return error instanceof ErrnoError && error.code === 'EAGAIN';
}

function isSlotOf({ instruction, address, bytes }: Slot, code: Uint8Array): boolean {
  return Buffer.compare(makeSlot(code, instruction, address).bytes, bytes) === 0;
}

/** Where probes are in memory. */
function addressesOf(probes: readonly FileProbe[], mappings: readonly FileMapping[]): Set<number> {
  const addresses = new Set<number>();
  for (const mapping of mappings) {
    for (const { file, offset } of probes) {
      const address = mapping.start + offset - mapping.offset;
      if (file === mapping.file && address >= mapping.start && address < mapping.end) addresses.add(address);
    }
  }
  return addresses;
}
