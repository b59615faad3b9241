/** Who is told of a definition's hits, and what of. */

import type { FetchedValue } from '../breakpoint/fetching.ts';
import type { ProbeDefinition } from '../definition/definition.ts';

/** What a hit tells. */
export interface Hit {
  readonly definition: ProbeDefinition;
  readonly tid: number;
  readonly tgid: number;
  readonly comm: string;
  /** Of the instruction; of the function for a return probe. */
  readonly address: number;
  /** Where the function returned to; of return probes alone. */
  readonly returnAddress: number | undefined;
  /** In the order of the definition's arguments. */
  readonly values: readonly FetchedValue[];
  /** When, by CLOCK_MONOTONIC, in nanoseconds. */
  readonly timeNs: bigint;
}

/** A definition that is in force. */
export interface Consumer {
  readonly definition: ProbeDefinition;
  readonly hit: (hit: Hit) => void;
  /** Returns that it is not told of: there were too many calls, or what they return to cannot be probed. */
  misses: number;
}
