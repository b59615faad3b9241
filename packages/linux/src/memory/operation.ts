/** One access to another address space, from the moment it is wanted until it is settled. */
import { ERRNO, type Nanoseconds } from '@usertrace/base';
import { monotonicNow } from '../clock.ts';
import type { AddressSpace } from './address-space.ts';

/** What an operation does; the machine code compares with these numbers. */
export const KIND = { READ: 0, WRITE: 1, STORE_BIT: 2, PROBE: 3 } as const;

/**
 * What a mapping must have one of, as PROCMAP_QUERY's vma_flags: 1 readable, 2 writable, 4 executable. x86-64 pages
 * that can be written or executed can be read.
 */
export const REQUIRED = { NOTHING: 0, READABLE: 7, WRITABLE: 2 } as const;

/** Which of an address space's descriptors is read or written: where it lies in the executor's handle. */
export const FILE = { MEM: 0, MAPS: 4 } as const;

/** The result of an operation whose deadline passed. */
export const LATE: number = -ERRNO.ETIMEDOUT;

/** The result of an operation whose executor did not get the descriptors: no file of its own was at fault. */
export const NOT_PASSED: number = -ERRNO.EBADF;

/** The most bytes that an operation reads or writes. */
export const MAX_OPERATION_BYTES = 4096;

/** What an executor is told. Nothing in it changes. */
export interface Access {
  /** Whose descriptors. */
  readonly space: { readonly memFd: number; readonly mapsFd: number };
  readonly kind: (typeof KIND)[keyof typeof KIND];
  readonly file: (typeof FILE)[keyof typeof FILE];
  /** One of `REQUIRED`. */
  readonly required: number;
  /** The offset in the file: in MEM the address. */
  readonly address: bigint;
  /** From 1 to `MAX_OPERATION_BYTES`. */
  readonly length: number;
  /** WRITE: the bytes. */
  readonly bytes: Uint8Array | undefined;
  /** STORE_BIT: the byte's other bits as ones. */
  readonly keep: number;
  /** STORE_BIT: the bit's value in its place. */
  readonly put: number;
}

/** An operation. Nothing in it changes. */
export interface Operation extends Access {
  readonly space: AddressSpace;
  readonly wantedNs: Nanoseconds;
  /**
   * Called once.
   *
   * @param result the count of bytes, 0 if the address space is gone, `LATE`, or the negative error number
   * @param buffer what was read, valid during the call
   */
  settle(result: number, buffer: Uint8Array): void;
}

/** Makes all operations alike, in one literal: thousands may be wanted at once. */
export function newOperation(
  space: AddressSpace,
  kind: Operation['kind'],
  required: number,
  address: bigint,
  length: number,
  bytes: Uint8Array | undefined,
  keep: number,
  put: number,
  settle: Operation['settle'],
): Operation {
  return {
    space,
    kind,
    file: FILE.MEM,
    required,
    address,
    length,
    bytes,
    keep,
    put,
    wantedNs: monotonicNow(),
    settle,
  };
}

/** An operation that keeps its address space suspect until it is settled. */
export function suspected(operation: Operation): Operation {
  const { space } = operation;
  space.holdSuspect();
  return {
    ...operation,
    settle: (result, buffer) => {
      space.letGoSuspect();
      operation.settle(result, buffer);
    },
  };
}

/** Settles an operation whose deadline passed, or that is not to be tried. */
export function settleLate(operation: Operation): void {
  operation.settle(LATE, new Uint8Array());
}
