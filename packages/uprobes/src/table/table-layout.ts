/**
 * One address space's table: a header, its mappings in the order of their addresses, its probes in the order of file and offset.
 * Each field is a cell.
 */

/** The header's cells. */
export const HEADER = { SPACE: 0, MAPPINGS: 1, PROBES: 2, CELLS: 3 } as const;

/** A mapping's cells. */
export const MAPPING = { START: 0, END: 1, FILE: 2, OFFSET: 3, CELLS: 4 } as const;

/** A probe's cells. */
export const PROBE = { FILE: 0, OFFSET: 1, NUMBER: 2, CELLS: 3 } as const;

/** Mappings that a process may have: twice the kernel's usual vm.max_map_count. */
export const MAPPINGS_MAX = 131_072;

/** Probes of one address space. */
export const PROBES_MAX = 65_536;

/** A part of an address space that shows a file. */
export interface FileMapping {
  /** Its first address. */
  readonly start: number;
  /** The first address behind it. */
  readonly end: number;
  /** The number that the caller gave the file. */
  readonly file: number;
  /** Where in the file it begins, in bytes. */
  readonly offset: number;
}

/** A probe on a file. */
export interface FileProbe {
  readonly file: number;
  /** In bytes. */
  readonly offset: number;
  /** What a lookup answers: 0 or more. */
  readonly number: number;
}
