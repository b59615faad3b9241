/**
 * The counters by which static probes know that somebody listens (SDT semaphores; `PATH:OFFSET(COUNTER)`): 16-bit words among a
 * file's variables, raised by one for each probe that is put in.
 *
 * What was raised stands in the program's FallbackRegion. So it is balanced after a fork, whose child has a copy of both, and the
 * next tracer takes away what a dead one raised.
 */

import type { Examination } from '@usertrace/utrace';
import type { FallbackRegion } from '../fallback/fallback-region.ts';
import type { Mapping } from '../process/process-maps.ts';
import { readIfThere } from '../process/thread-memory.ts';

const COUNTER_BYTES = 2;
const VALUE_MAX = 0xffff;

/** A probe with a counter. */
export interface CountedProbe {
  /** As `fileIdentity` makes it. */
  readonly identity: string;
  /** The counter's place in the file. */
  readonly counterOffset: number;
}

/** How far each counter is to be raised, by its address. */
export function wantedCounters(
  probes: readonly CountedProbe[],
  mappings: readonly Mapping[],
): Map<number, number> {
  const wanted = new Map<number, number>();
  for (const { identity, counterOffset } of probes) {
    for (const { start, end, offset, isData, identity: mapped } of mappings) {
      const address = start + counterOffset - offset;
      if (!isData || mapped !== identity || address < start || address + COUNTER_BYTES > end) continue;
      wanted.set(address, (wanted.get(address) ?? 0) + 1);
    }
  }
  return wanted;
}

/** Raises and lowers the counters of a program by what is missing. */
export function adjustCounters(
  look: Examination,
  region: FallbackRegion,
  wanted: ReadonlyMap<number, number>,
  mappings: readonly Mapping[],
): void {
  const raised = region.readCounters(look);
  const isSame = raised.size === wanted.size && [...wanted].every(([at, by]) => raised.get(at) === by);
  if (isSame) return;
  for (const address of new Set([...raised.keys(), ...wanted.keys()])) {
    // A library that was unmapped takes its counters along.
    const isThere = mappings.some(({ start, end, isData }) => isData && start <= address && address < end);
    if (isThere) add(look, address, (wanted.get(address) ?? 0) - (raised.get(address) ?? 0));
  }
  region.writeCounters(look, wanted);
}

function add(look: Examination, address: number, change: number): void {
  const bytes = readIfThere(look, BigInt(address), COUNTER_BYTES);
  if (change === 0 || bytes?.length !== COUNTER_BYTES) return;
  const value = Buffer.alloc(COUNTER_BYTES);
  value.writeUInt16LE(Math.min(VALUE_MAX, Math.max(0, Buffer.from(bytes).readUInt16LE() + change)));
  look.write(BigInt(address), value);
}
