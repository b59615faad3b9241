/**
 * Where trampolines write hits: lanes of shared memory, one for each CPU, that any number of threads fill without
 * locks and one reader empties. All numbers are 64-bit and little-endian unless told otherwise.
 *
 * A lane is a header of one page and then slots of one size. A writer takes the slot of the number that it adds 1 to
 * (`lock xadd` on `head`), fills it, and stores the number plus 1 as its `sequence` last: then it is there for the
 * reader. The reader raises `tail` behind what it has taken, and writers leave a lane alone that is full but for a
 * margin, so that no slot is overwritten that was not read. A thread that was killed leaves its slot without the
 * sequence; the reader passes it when no such thread is left.
 */

/** Offsets in a lane's header; each in a cache line of its own. */
export const LANE_HEADER = { head: 0, tail: 64, lost: 128, size: 4096 } as const;

/** Offsets in a slot. */
export const SLOT = {
  sequence: 0,
  /** The processor's time stamp counter; the reader turns it into nanoseconds. */
  time: 8,
  /** The thread's FS base, which the reader turns into a thread id. */
  thread: 16,
  /** u32: which probe. */
  probe: 24,
  /** u32: CPU and node, as rdtscp gives them. */
  cpu: 28,
  /** A bit for each argument that could not be read. */
  faults: 32,
  values: 40,
} as const;

/** Slots that stay free for writers that looked at a lane's room at the same time. */
export const LANE_MARGIN = 64;

/** Where a trampoline's lanes are and how they are cut. Sizes are exponents of 2. */
export interface LaneGeometry {
  /** Of the first lane, in the probed program. */
  readonly address: number;
  readonly laneCountShift: number;
  readonly laneSizeShift: number;
  readonly slotSizeShift: number;
  readonly slotCountShift: number;
}
