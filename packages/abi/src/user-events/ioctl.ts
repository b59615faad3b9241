/**
 * The ioctls of user_events_data and the structures they point to (Linux: include/uapi/linux/user_events.h,
 * Documentation/trace/user_events.rst).
 *
 *     user_reg, packed, 28 bytes                     user_unreg, packed, 16 bytes
 *     0   u32 size                                   0   u32 size
 *     4   u8  enable_bit                             4   u8  disable_bit
 *     5   u8  enable_size    4 or 8                  5   u8  reserved, 0
 *     6   u16 flags          persist, multi-format   6   u16 reserved, 0
 *     8   u64 enable_addr                            8   u64 disable_addr
 *     16  u64 name_args      a string's address
 *     24  u32 write_index    the answer
 *
 * `size` lets either side grow: a longer structure is taken if the bytes that we do not know are zero.
 */

import { Address, type ErrnoName } from '@usertrace/base';

/** `_IOWR('*', 0, struct user_reg *)` */
export const DIAG_IOCSREG = 0xc008_2a00;
/** `_IOW('*', 1, char *)` */
export const DIAG_IOCSDEL = 0x4008_2a01;
/** `_IOW('*', 2, struct user_unreg *)` */
export const DIAG_IOCSUNREG = 0x4008_2a02;

/** The bytes of `struct user_reg`. */
export const USER_REG_SIZE = 28;
/** The bytes of `struct user_unreg`. */
export const USER_UNREG_SIZE = 16;
/** Where the answer goes in `struct user_reg`. */
export const USER_REG_WRITE_INDEX_OFFSET = 24;
/** The largest structure a caller may declare: a page. */
export const USER_STRUCT_SIZE_MAX = 4096;

/** The event outlives its last reference, until somebody deletes it. Needs CAP_PERFMON. */
export const USER_EVENT_REG_PERSIST = 1;
/** Events of the same name and other fields may exist side by side. */
export const USER_EVENT_REG_MULTI_FORMAT = 2;
const KNOWN_FLAGS = USER_EVENT_REG_PERSIST | USER_EVENT_REG_MULTI_FORMAT;

/** x86-64's highest address that the kernel takes for a user's: the end of user space itself still passes. */
const USER_ADDRESS_MAX = 0x7fff_ffff_f000n;

/** The bytes of a command string with its terminating NUL that are read at most. */
export const COMMAND_SIZE_MAX = 512;

/** A request to register an event, checked. */
export interface UserReg {
  /** The bit that says whether somebody listens, from the word's least significant. */
  readonly enableBit: number;
  /** The word's size in bytes. */
  readonly enableSize: 4 | 8;
  /** The word's address, naturally aligned, in the caller's memory. */
  readonly enableAddress: Address;
  readonly persist: boolean;
  readonly multiFormat: boolean;
  /** Where the command string is in the caller's memory. */
  readonly nameAddress: Address;
}

/** A request to unregister an enable bit, checked. */
export interface UserUnreg {
  readonly disableBit: number;
  readonly disableAddress: Address;
}

/** A string that the caller's memory did not hold as it should. */
export interface UnreadableText {
  readonly errno: ErrnoName;
}

/**
 * The size a caller declares for its structure: how many bytes to read for the decoders below.
 *
 * @param bytes the structure's beginning, four bytes or more
 */
export function declaredSize(bytes: Uint8Array): number {
  return bytes.length < 4 ? 0 : view(bytes).getUint32(0, true);
}

/**
 * Reads and checks `struct user_reg`, in the kernel's order of checks.
 *
 * @param bytes what could be read of the declared size (at least min(declared, 4096) unless it faulted)
 * @returns the request, or what the ioctl answers
 */
export function decodeUserReg(bytes: Uint8Array): UserReg | ErrnoName {
  const refused = checkSize(bytes, USER_REG_SIZE);
  if (refused !== undefined) return refused;
  const fields = view(bytes);
  const enableBit = fields.getUint8(4);
  const enableSize = fields.getUint8(5);
  const flags = fields.getUint16(6, true);
  const enableAddress = fields.getBigUint64(8, true);
  if ((flags & ~KNOWN_FLAGS) !== 0) return 'EINVAL';
  if (enableSize !== 4 && enableSize !== 8) return 'EINVAL';
  if (enableAddress % BigInt(enableSize) !== 0n) return 'EINVAL';
  if (enableBit >= enableSize * 8) return 'EINVAL';
  if (enableAddress > USER_ADDRESS_MAX) return 'EFAULT';
  return {
    enableBit,
    enableSize,
    enableAddress: Address(enableAddress),
    persist: (flags & USER_EVENT_REG_PERSIST) !== 0,
    multiFormat: (flags & USER_EVENT_REG_MULTI_FORMAT) !== 0,
    nameAddress: Address(fields.getBigUint64(16, true)),
  };
}

/**
 * Reads and checks `struct user_unreg`, in the kernel's order of checks.
 *
 * @param bytes what could be read of the declared size
 * @returns the request, or what the ioctl answers
 */
export function decodeUserUnreg(bytes: Uint8Array): UserUnreg | ErrnoName {
  const refused = checkSize(bytes, USER_UNREG_SIZE);
  if (refused !== undefined) return refused;
  const fields = view(bytes);
  if (fields.getUint8(5) !== 0 || fields.getUint16(6, true) !== 0) return 'EINVAL';
  return { disableBit: fields.getUint8(4), disableAddress: Address(fields.getBigUint64(8, true)) };
}

/**
 * Takes the command string (of REG) or the name (of DEL) out of what could be read at its address.
 *
 * @param bytes up to 512 bytes; fewer when the memory ends there
 * @returns the text before the NUL, one character a byte; or EINVAL when 512 bytes hold no NUL, EFAULT when
 *   the memory ended before one
 */
export function commandFromBytes(bytes: Uint8Array): string | UnreadableText {
  const end = bytes.subarray(0, COMMAND_SIZE_MAX).indexOf(0);
  if (end >= 0) return String.fromCharCode(...bytes.subarray(0, end));
  return { errno: bytes.length >= COMMAND_SIZE_MAX ? 'EINVAL' : 'EFAULT' };
}

function checkSize(bytes: Uint8Array, knownSize: number): ErrnoName | undefined {
  if (bytes.length < 4) return 'EFAULT';
  const size = declaredSize(bytes);
  if (size > USER_STRUCT_SIZE_MAX) return 'E2BIG';
  if (size < knownSize) return 'EINVAL';
  for (let i = knownSize; i < Math.min(size, bytes.length); i++) if (bytes[i] !== 0) return 'E2BIG';
  return bytes.length < size ? 'EFAULT' : undefined;
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
