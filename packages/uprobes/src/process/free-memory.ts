/** Where in a program's memory nothing is mapped. */

/** Programs may map nothing below (vm.mmap_min_addr). */
const LOWEST = 0x1_0000;
const HIGHEST = 0x7fff_ffff_0000;
const PAGE_BYTES = 4096;

/** A stretch of memory that is not free. */
export interface TakenMemory {
  readonly start: number;
  /** The first address behind it. */
  readonly end: number;
}

/** What is looked for: bytes, a multiple of which they begin at, and how far from an address they may be. */
export interface Wanted {
  readonly size: number;
  readonly alignment: number;
  readonly near: number;
  readonly reach: number;
}

/**
 * Finds free memory. A page on each side stays free, so that no neighbour runs on into it.
 *
 * @param mappings all of the address space, in their order
 * @returns the place that is nearest, undefined if there is none in reach
 */
export function findFreeMemory(
  mappings: readonly TakenMemory[],
  { size, alignment, near, reach }: Wanted,
): number | undefined {
  const lowest = Math.max(LOWEST, near - reach);
  const highest = Math.min(HIGHEST, near + reach);
  let end = LOWEST;
  let best: number | undefined;
  for (const mapping of [...mappings, { start: HIGHEST, end: HIGHEST }]) {
    // The last place before a mapping, unless a stack may grow into it: those are far from code.
    const last = Math.min(mapping.start, highest) - PAGE_BYTES - size;
    const aligned = last - (last % alignment);
    const isFree = aligned >= end + PAGE_BYTES && aligned >= lowest;
    if (isFree && (best === undefined || Math.abs(aligned - near) < Math.abs(best - near))) best = aligned;
    end = Math.max(end, mapping.end);
  }
  return best;
}
