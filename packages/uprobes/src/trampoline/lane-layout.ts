/**
 * Where trampolines write hits: one memory file for a process and its forks' children, mapped shared in them and in the tracer.
 *
 *     control    header, then a cell for each gate
 *     lanes      for each slot class one lane for each CPU, as far as there are lanes
 *
 * A lane is a header of one page and then slots of one size, which any number of threads fill without locks and one reader empties.
 * All numbers are 64-bit and little-endian unless told otherwise.
 *
 * A writer takes the slot of the number that it adds 1 to (`lock xadd` on `head`), fills it, and stores the number plus 1 as its
 * `sequence` last: then it is there for the reader. The reader raises `tail` behind what it has taken, and writers leave a lane
 * alone that is full but for a margin, so that no slot is overwritten that was not read.
 *
 * A slot stays without its sequence when its thread was killed in the trampoline, or a signal handler left it by longjmp. Time does
 * not tell that: a stopped thread may publish next year. The reader may pass such a slot only when all threads of all processes
 * that share the lanes were seen outside of all trampolines after the slot was taken (ProbeTracer sees to that, and tells the
 * reader the numbers up to which slots can be passed).
 */

/** The memory file's name: /proc/PID/maps shows `/memfd:usertrace-probes (deleted)`. */
export const LANES_NAME = 'usertrace-probes';

/** Different probes of one process and its forks' children in all their life. */
export const GATES_MAX = 4096;

/** Offsets in the control part. */
export const CONTROL = {
  /** u32: CONTROL_MAGIC. */
  magic: 0,
  /** u32: CONTROL_VERSION. */
  version: 4,
  /** u32: the tracer's process id. */
  owner: 8,
  /** When that started, in clock ticks since boot. */
  ownerStart: 16,
  /** The first gate's cell. */
  gates: 4096,
} as const;

/** "utpr". */
export const CONTROL_MAGIC = 0x7270_7475;
export const CONTROL_VERSION = 1;

/**
 * A gate's cell. `probe` is 0 while nothing is recorded, else the number that goes into each slot; a hit takes it once, when it
 * begins, so that no hit has a number that was given later. `misses` counts hits for which no slot was free (`lock add`).
 */
export const GATE = { probe: 0, misses: 8, size: 16 } as const;

/** Bytes of the control part. */
export const CONTROL_BYTES: number = CONTROL.gates + GATES_MAX * GATE.size;

/** Offsets in a lane's header; each in a cache line of its own. `lost` is exact, as `misses` is. */
export const LANE_HEADER = { head: 0, tail: 64, lost: 128, size: 4096 } as const;

/** Offsets in a slot. */
export const SLOT = {
  sequence: 0,
  /** The processor's time stamp counter; the reader turns it into nanoseconds. */
  time: 8,
  /**
   * u32: the thread's id, in its own pid namespace. A child of vfork that has not yet executed goes by its parent's: it has that
   * thread's memory.
   */
  tid: 16,
  /** u32: the process's id, in its own pid namespace; of vfork's child the parent's. */
  pid: 20,
  /** u32: which probe: what its gate had when the hit began. Never 0. */
  probe: 24,
  /** u32: CPU and node, as rdtscp gives them. */
  cpu: 28,
  /** A bit for each argument that could not be read. */
  faults: 32,
  /** Where the function returned to; of return probes alone. */
  returnAddress: 40,
  values: 48,
} as const;

/** The number of no probe: a slot whose hit is in another. */
export const VOID_PROBE = 0xffff_ffff;

/** Slots that stay free for writers that looked at a lane's room at the same time. */
export const LANE_MARGIN = 64;

/** How one set of lanes is cut. Sizes are exponents of 2. */
export interface LaneShape {
  readonly laneCountShift: number;
  readonly laneSizeShift: number;
  readonly slotSizeShift: number;
  readonly slotCountShift: number;
}

/** Where a trampoline's lanes are and how they are cut. */
export interface LaneGeometry extends LaneShape {
  /** Of the first lane, in the probed program. */
  readonly address: number;
}

/** Lanes in the memory file. */
export interface LaneSet extends LaneShape {
  /** Of the first lane, in the file. */
  readonly offset: number;
}

/** More CPUs than that share lanes. */
const LANE_COUNT_SHIFT_MAX = 3;

/**
 * Slots for hits of registers, with a text, of many texts or arrays, and of long texts. A lane takes of its size what was ever used: 4 MiB
 * at most, and of long texts the pages that they reach. More would not help: the prober writes what it reads to a provider's lane of 4 MiB.
 */
const SLOT_CLASSES = [
  { slotSizeShift: 7, slotCountShift: 15, laneSizeShift: 23 },
  { slotSizeShift: 9, slotCountShift: 13, laneSizeShift: 23 },
  { slotSizeShift: 12, slotCountShift: 10, laneSizeShift: 23 },
  { slotSizeShift: 14, slotCountShift: 10, laneSizeShift: 25 },
] as const;

/**
 * The lanes of a memory file, by rising size of their slots.
 *
 * @param cpuCount of the machine
 */
export function laneSets(cpuCount: number): LaneSet[] {
  const laneCountShift = Math.min(LANE_COUNT_SHIFT_MAX, Math.ceil(Math.log2(Math.max(1, cpuCount))));
  let offset = CONTROL_BYTES;
  return SLOT_CLASSES.map((shape) => {
    const set = { ...shape, laneCountShift, offset };
    offset += 2 ** (shape.laneSizeShift + laneCountShift);
    return set;
  });
}

/** The memory file's size in bytes. */
export function lanesFileSize(sets: readonly LaneSet[]): number {
  return Math.max(
    ...sets.map(
      ({ offset, laneSizeShift, laneCountShift }) => offset + 2 ** (laneSizeShift + laneCountShift),
    ),
  );
}
