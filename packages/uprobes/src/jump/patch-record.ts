/**
 * What stands before each trampoline in the program: which place its jump was written to, and what was there. Whoever finds it
 * without having written it compares with the file before believing it.
 *
 *     u32 magic; u32 size of the block; u64 place; u32 1 while the jump is there; u32 0; u8 original[8]
 */

import { JUMP_BYTES } from '../code/placement.ts';

/** Bytes of a record. The code follows. */
export const RECORD_BYTES = 64;
const MAGIC = 0x6a72_7475;
const OFFSET = { magic: 0, size: 4, place: 8, isArmed: 16, original: 24 } as const;

/** Where in a record it says whether the jump is there. */
export const IS_ARMED_AT: number = OFFSET.isArmed;

/** A record's content. */
export interface PatchRecord {
  /** Bytes of the record and the code. */
  readonly size: number;
  readonly place: number;
  readonly isArmed: boolean;
  /** The JUMP_BYTES that the jump replaces. */
  readonly original: Uint8Array;
}

export function encodeRecord({ size, place, isArmed, original }: PatchRecord): Uint8Array {
  const bytes = Buffer.alloc(RECORD_BYTES);
  bytes.writeUInt32LE(MAGIC, OFFSET.magic);
  bytes.writeUInt32LE(size, OFFSET.size);
  bytes.writeBigUInt64LE(BigInt(place), OFFSET.place);
  bytes.writeUInt32LE(Number(isArmed), OFFSET.isArmed);
  bytes.set(original.subarray(0, JUMP_BYTES), OFFSET.original);
  return bytes;
}

/** @returns undefined for bytes that are no record */
export function decodeRecord(bytes: Uint8Array): PatchRecord | undefined {
  if (bytes.length < RECORD_BYTES) return undefined;
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const size = view.readUInt32LE(OFFSET.size);
  const place = Number(view.readBigUInt64LE(OFFSET.place));
  const isRecord = view.readUInt32LE(OFFSET.magic) === MAGIC && size >= RECORD_BYTES;
  if (!isRecord || !Number.isSafeInteger(place)) return undefined;
  const original = Uint8Array.from(view.subarray(OFFSET.original, OFFSET.original + JUMP_BYTES));
  return { size, place, isArmed: view.readUInt32LE(OFFSET.isArmed) === 1, original };
}

/** The jump from a place to a trampoline. */
export function jumpFrom(place: number, trampoline: number): Uint8Array {
  const bytes = Buffer.alloc(JUMP_BYTES);
  bytes[0] = 0xe9;
  bytes.writeInt32LE(trampoline - (place + JUMP_BYTES), 1);
  return bytes;
}
