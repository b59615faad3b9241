/**
 * What another tracer has left in a program: its jumps, which go on working, and the memory that they lead to. Of one that lives, all is
 * left alone. Nothing that is found is believed: a jump is taken away only where it is one, leads to the trampoline whose record tells
 * of it, and the record has what the file has.
 */

import { systemCallNumber } from '@usertrace/abi';
import { isProcessRunning } from '@usertrace/linux';
import type { Examination } from '@usertrace/utrace';
import { isInFile } from '../process/mapped-file.ts';
import { type Mapping, mappingAt } from '../process/process-maps.ts';
import { readIfThere } from '../process/thread-memory.ts';
import { CONTROL, CONTROL_BYTES, CONTROL_MAGIC, LANES_NAME } from '../trampoline/lane-layout.ts';
import { CODE_AT, CODE_BYTES, REGION_BYTES } from './code-region.ts';
import { decodeRecord, IS_ARMED_AT, jumpFrom, RECORD_BYTES } from './patch-record.ts';
import { remoteCall } from './remote-memory.ts';
import type { SpaceStillness } from './stopped-process.ts';

const MUNMAP = systemCallNumber('munmap');
const HEADER_BYTES = 32;

/**
 * Whether memory of another tracer is mapped.
 *
 * @param own the identity of the lanes that are ours
 */
export function hasLeftovers(mappings: readonly Mapping[], own: string | undefined): boolean {
  return mappings.some((mapping) => isOfLanes(mapping) && mapping.identity !== own);
}

/**
 * Takes away what a dead tracer has left, as far as no thread uses it.
 *
 * @param pid of a process that has the memory
 * @param own the identity of the lanes that are ours
 * @returns whether nothing of it is left
 */
export function takeLeftovers(stillness: SpaceStillness, pid: number, own: string | undefined): boolean {
  const { look, mappings } = stillness;
  const found = new Set<string | undefined>();
  const inUse = new Set<string | undefined>();
  for (const mapping of mappings) {
    if (!isControl(mapping) || mapping.identity === own || isOwnerAlive(look, mapping.start)) continue;
    restoreCode(look, pid, mappings, mapping.start);
    if (!unmapRegion(stillness, mapping.start)) inUse.add(mapping.identity);
    found.add(mapping.identity);
  }
  for (const mapping of mappings) {
    // Lanes without a region: their tracer died before it made one, or when it had unmapped it.
    if (!isOfLanes(mapping) || mapping.identity === own || isOwnerAlive(look, mapping.start)) continue;
    const hasRegion = mappings.some((other) => isControl(other) && other.identity === mapping.identity);
    if (!hasRegion) found.add(mapping.identity);
  }
  // What a thread in one region may write to stays.
  for (const identity of found) if (!inUse.has(identity)) unmapLanes(stillness, identity);
  return inUse.size === 0;
}

/**
 * Unmaps a region, of which no jump is left, unless a thread is in it.
 *
 * @param start of the region
 * @returns whether it was
 */
export function unmapRegion({ look, positions }: SpaceStillness, start: number): boolean {
  if (positions.areIn([{ from: start + CODE_AT, to: start + CODE_AT + CODE_BYTES }])) return false;
  remoteCall(look, MUNMAP, [BigInt(start), BigInt(REGION_BYTES)], 'unmap trampolines');
  return true;
}

/** Unmaps the lanes; a region of them that is left keeps the gates. */
export function unmapLanes({ look, mappings }: SpaceStillness, identity: string | undefined): void {
  for (const mapping of mappings) {
    if (identity === undefined || mapping.identity !== identity || isControl(mapping)) continue;
    const size = BigInt(mapping.end - mapping.start);
    remoteCall(look, MUNMAP, [BigInt(mapping.start), size], 'unmap lanes');
  }
}

function isOfLanes({ path, offset }: Mapping): boolean {
  return path.startsWith(`/memfd:${LANES_NAME}`) && offset === 0;
}

/** A region begins there. The lanes' own mapping is larger. */
function isControl(mapping: Mapping): boolean {
  return isOfLanes(mapping) && mapping.end - mapping.start === CONTROL_BYTES;
}

function isOwnerAlive(look: Examination, start: number): boolean {
  const header = readIfThere(look, BigInt(start), HEADER_BYTES);
  if (header?.length !== HEADER_BYTES) return false;
  const view = Buffer.from(header);
  if (view.readUInt32LE(CONTROL.magic) !== CONTROL_MAGIC) return false;
  const ticks = Number(view.readBigUInt64LE(CONTROL.ownerStart));
  return isProcessRunning(view.readUInt32LE(CONTROL.owner), ticks);
}

function restoreCode(look: Examination, pid: number, mappings: readonly Mapping[], start: number): void {
  const code = readIfThere(look, BigInt(start + CODE_AT), CODE_BYTES) ?? new Uint8Array();
  for (let at = 0; at + RECORD_BYTES <= code.length; ) {
    const record = decodeRecord(code.subarray(at, at + RECORD_BYTES));
    if (record === undefined) break;
    const { place, isArmed, original, size } = record;
    const mapping = mappingAt(mappings, place);
    const address = start + CODE_AT + at;
    const isThere = isArmed && mapping !== undefined && isJump(look, place, address + RECORD_BYTES);
    if (isThere && isFileCode(pid, mapping, place, original)) {
      look.write(BigInt(place), original);
      look.write(BigInt(address + IS_ARMED_AT), new Uint8Array(4));
    }
    at += Math.ceil(size / RECORD_BYTES) * RECORD_BYTES;
  }
}

function isJump(look: Examination, place: number, trampoline: number): boolean {
  const jump = jumpFrom(place, trampoline);
  const there = readIfThere(look, BigInt(place), jump.length);
  return there !== undefined && Buffer.compare(there, jump) === 0;
}

/** Where the file cannot be read, the record is believed: a jump into memory that goes away would be worse. */
function isFileCode(pid: number, mapping: Mapping, place: number, code: Uint8Array): boolean {
  return [...code].every((byte, index) => isInFile(pid, mapping, place + index, byte) !== false);
}
