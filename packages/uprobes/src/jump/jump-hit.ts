/** A hit of a jump as consumers see it. What costs something is looked up when it is asked for. */

import { recentCommOf } from '../process/comm.ts';
import type { FetchedValue } from '../breakpoint/fetching.ts';
import type { Hit } from '../tracer/consumer.ts';
import type { ProbeDefinition } from '../definition/definition.ts';
import type { SlotHit } from '../lane/lane.ts';
import type { HitPlace } from './jump-hits.ts';
import { SLOT } from '../trampoline/lane-layout.ts';
import { slotValues } from './slot-values.ts';

export class JumpHit implements Hit {
  readonly definition: ProbeDefinition;
  /** A copy of the slot that the trampoline filled. */
  readonly slot: Buffer;
  readonly tid: number;
  readonly tgid: number;
  readonly address: number;
  readonly returnAddress: number | undefined;
  readonly timeNs: bigint;
  #comm: string | undefined;
  #values: readonly FetchedValue[] | undefined;

  constructor(definition: ProbeDefinition, { address }: HitPlace, hit: SlotHit, timeNs: bigint) {
    this.definition = definition;
    this.slot = hit.slot;
    this.tid = hit.tid;
    this.tgid = hit.pid;
    this.address = address;
    this.returnAddress =
      definition.kind === 'return' ? Number(hit.slot.readBigUInt64LE(SLOT.returnAddress)) : undefined;
    this.timeNs = timeNs;
  }

  /** The thread's name, some time after the hit; empty when it is gone. */
  get comm(): string {
    this.#comm ??= recentCommOf(this.tid);
    return this.#comm;
  }

  get values(): readonly FetchedValue[] {
    this.#values ??= slotValues(this.definition.arguments, this.slot);
    return this.#values;
  }
}
