/**
 * Memory for trampolines near what is probed, in the program:
 *
 *     control    the lanes' control part once more, so that gates are in reach
 *     words      PROCESS_WORDS, zeroed in a fork's child
 *     code       blocks: a record, then a trampoline
 *
 * The code is private and not writable for the program: a fork copies it with the jumps that lead to it, and so each process has
 * its own records of what was changed in it. /proc/PID/maps shows the control part as LANES_NAME at offset 0, and the code two
 * pages behind it: who comes after a killed tracer finds it there.
 *
 * Memory of a block is used again only after its owner has seen that no thread is in it.
 */

import type { Examination } from '@usertrace/utrace';
import { systemCallNumber } from '@usertrace/abi';
import { ErrnoError } from '@usertrace/base';
import { findFreeMemory, type TakenMemory } from '../process/free-memory.ts';
import { CONTROL_BYTES } from '../trampoline/lane-layout.ts';
import { PROCESS_WORDS } from '../trampoline/thread-identity.ts';
import { remoteCall } from './remote-memory.ts';

/** System calls (x86-64). */
const CALL = {
  mmap: systemCallNumber('mmap'),
  mprotect: systemCallNumber('mprotect'),
  mremap: systemCallNumber('mremap'),
  madvise: systemCallNumber('madvise'),
} as const;
const PROT_READ_WRITE = 3n;
const PROT_READ_EXEC = 5n;
/** MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE */
const MAP_FLAGS = 0x10_0022n;
/** MREMAP_MAYMOVE | MREMAP_FIXED */
const MREMAP_FLAGS = 3n;
const MADV_WIPEONFORK = 18n;
const PAGE_BYTES = 4096;
/** Bytes for code. */
export const CODE_BYTES = 0x4_0000;
/** Where the words are in a region. */
const WORDS_AT = CONTROL_BYTES;
/** Where the code is in a region. */
export const CODE_AT: number = WORDS_AT + PROCESS_WORDS.size;
export const REGION_BYTES: number = CODE_AT + CODE_BYTES;
/** Farther from its code a trampoline could not reach what the instructions reach; half of 2 GiB is left for that. */
const REACH = 0x4000_0000;
const BLOCK_ALIGNMENT = 64;
/** A trampoline with a few probes of many arguments each. */
const BLOCK_BYTES_MAX = 0x4000;

/** One region. */
export class CodeRegion {
  readonly address: number;
  #used: number;
  /** Sizes of blocks that can be used again, by address. */
  readonly #free: Map<number, number>;

  /**
   * Maps a region in a program.
   *
   * @param look at a stopped thread that can call the system
   * @param mappings of the program
   * @param near the address that it has to be near to
   * @throws {ErrnoError} ENOMEM when nothing is free there; what mmap(2) answered
   */
  static map(look: Examination, mappings: readonly TakenMemory[], near: number): CodeRegion {
    const address = findFreeMemory(mappings, {
      size: REGION_BYTES,
      alignment: PAGE_BYTES,
      near,
      reach: REACH,
    });
    if (address === undefined)
      throw new ErrnoError('ENOMEM', `Cannot put code near 0x${near.toString(16)}: no memory is free there`);
    const args = [BigInt(address), BigInt(REGION_BYTES), PROT_READ_WRITE, MAP_FLAGS, -1n, 0n];
    remoteCall(look, CALL.mmap, args, 'map memory for code');
    return new CodeRegion(address, 0, new Map());
  }

  private constructor(address: number, used: number, free: Map<number, number>) {
    this.address = address;
    this.#used = used;
    this.#free = free;
  }

  get processWords(): number {
    return this.address + WORDS_AT;
  }

  /** Before it is complete: memory that the program can write, and which is empty. */
  get scratch(): number {
    return this.address + WORDS_AT;
  }

  /** The first byte behind it. */
  get end(): number {
    return this.address + REGION_BYTES;
  }

  /**
   * Gives it its control part, and takes writing away from the code.
   *
   * @param control where the program has the control part already; a shared mapping is copied by mremap(2) with an old size of 0
   */
  complete(look: Examination, control: number): void {
    const size = BigInt(CONTROL_BYTES);
    const copy = [BigInt(control), 0n, size, MREMAP_FLAGS, BigInt(this.address)];
    remoteCall(look, CALL.mremap, copy, 'map gates');
    const words = [BigInt(this.processWords), BigInt(PROCESS_WORDS.size), MADV_WIPEONFORK];
    remoteCall(look, CALL.madvise, words, 'have forks forget the process');
    const code = [BigInt(this.address + CODE_AT), BigInt(CODE_BYTES), PROT_READ_EXEC];
    remoteCall(look, CALL.mprotect, code, 'protect code');
  }

  /** The same in the memory of a fork's child. */
  fork(): CodeRegion {
    return new CodeRegion(this.address, this.#used, new Map(this.#free));
  }

  /** Whether it has room for a large trampoline. */
  get hasRoom(): boolean {
    return this.#used + BLOCK_BYTES_MAX <= CODE_BYTES;
  }

  /** Whether code at an address can be reached from here. */
  isNear(address: number): boolean {
    return Math.abs(this.address - address) <= REACH && Math.abs(this.end - address) <= REACH;
  }

  /**
   * A block that nobody has.
   *
   * @returns its address, undefined when there is no room
   */
  allocate(size: number): number | undefined {
    const needed = Math.ceil(size / BLOCK_ALIGNMENT) * BLOCK_ALIGNMENT;
    for (const [address, free] of this.#free) {
      if (free !== needed) continue;
      this.#free.delete(address);
      return address;
    }
    if (this.#used + needed > CODE_BYTES) return undefined;
    const address = this.address + CODE_AT + this.#used;
    this.#used += needed;
    return address;
  }

  /** Gives a block back, which no thread is in and no jump leads to. */
  release(address: number, size: number): void {
    this.#free.set(address, Math.ceil(size / BLOCK_ALIGNMENT) * BLOCK_ALIGNMENT);
  }
}
