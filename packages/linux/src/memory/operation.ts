/** One access to another address space, from the moment it is wanted until it is settled. */
import { ERRNO, type Nanoseconds } from '@usertrace/base';
import type { AddressSpace } from './address-space.ts';

/** What an operation does; the machine code compares with these numbers. */
export const KIND = { READ: 0, WRITE: 1, STORE_BIT: 2 } as const;

/**
 * What a mapping must have one of, as PROCMAP_QUERY's vma_flags: 1 readable, 2 writable, 4 executable. x86-64 pages
 * that can be written or executed can be read.
 */
export const REQUIRED = { NOTHING: 0, READABLE: 7, WRITABLE: 2 } as const;

/** The result of an operation whose deadline passed. */
export const LATE: number = -ERRNO.ETIMEDOUT;

/** The most bytes that an operation reads or writes. */
export const MAX_OPERATION_BYTES = 4096;

/** An operation. Nothing in it changes. */
export interface Operation {
  readonly space: AddressSpace;
  readonly kind: (typeof KIND)[keyof typeof KIND];
  /** The descriptor that is read or written, one of the address space's. */
  readonly fd: number;
  /** One of `REQUIRED`. */
  readonly required: number;
  /** The offset in `fd`'s file: for a memory file the address. */
  readonly address: bigint;
  /** From 1 to `MAX_OPERATION_BYTES`. */
  readonly length: number;
  /** WRITE: the bytes. */
  readonly bytes: Uint8Array | undefined;
  /** STORE_BIT: the byte's other bits as ones. */
  readonly keep: number;
  /** STORE_BIT: the bit's value in its place. */
  readonly put: number;
  readonly wantedNs: Nanoseconds;
  /**
   * Called once.
   *
   * @param result the count of bytes, 0 if the address space is gone, `LATE`, or the negative error number
   * @param buffer what was read, valid during the call
   */
  settle(result: number, buffer: Uint8Array): void;
}
