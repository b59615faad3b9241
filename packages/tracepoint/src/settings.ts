/** What a program may set, and what its environment sets for it. */
import { laneSize, LANE_PAGES_MAX, LANE_PAGES_MIN, PROVIDER_MAPPED_SIZE } from '@usertrace/abi';

/** What configure() takes. */
export interface Settings {
  /**
   * Bytes of memory that this thread's events may take, once one is on; default 4 MiB. Workers have settings of their
   * own, and start with those of the environment ($USERTRACE_LANE_BYTES).
   */
  readonly laneBytes?: number;
}

/** Memory of a thread whose events are on, when nobody says otherwise. */
export const LANE_BYTES_DEFAULT: number = 4 * 2 ** 20;
/** The least that can be set: sessions and words, and the fewest pages. */
export const LANE_BYTES_MIN: number = PROVIDER_MAPPED_SIZE + laneSize(LANE_PAGES_MIN);
/** The most that can be set. */
export const LANE_BYTES_MAX: number = 2 ** 30;

/**
 * Checks settings.
 *
 * @throws {RangeError} for a size out of bounds
 */
export function checkedLaneBytes(laneBytes: number): number {
  if (!Number.isFinite(laneBytes) || laneBytes < LANE_BYTES_MIN || laneBytes > LANE_BYTES_MAX) {
    throw new RangeError(
      `Cannot set laneBytes to ${laneBytes}: it has to be from ${LANE_BYTES_MIN} to ${LANE_BYTES_MAX}`,
    );
  }
  return laneBytes;
}

/** What the environment says; a wrong number there does not stop a program: it gets the default. */
export function laneBytesOf(environment: NodeJS.ProcessEnv): number {
  try {
    return checkedLaneBytes(Number(environment['USERTRACE_LANE_BYTES'] ?? LANE_BYTES_DEFAULT));
  } catch {
    return LANE_BYTES_DEFAULT;
  }
}

/** Pages of a lane that takes so many bytes with everything around it. */
export function lanePagesFor(laneBytes: number): number {
  let pageCount = Math.min(Math.floor(laneBytes / 4096), LANE_PAGES_MAX);
  while (pageCount > LANE_PAGES_MIN && PROVIDER_MAPPED_SIZE + laneSize(pageCount) > laneBytes) pageCount -= 1;
  return pageCount;
}
