/** What every way of reading returns for one event. */
import { readCommonFields } from '@usertrace/abi';
import { type Cpu, Nanoseconds } from '@usertrace/base';

/** One event as a reader sees it. */
export interface TraceRecord {
  readonly cpu: Cpu;
  /** When it was written, in nanoseconds since the buffer's epoch. */
  readonly time: Nanoseconds;
  /** The event's id (`common_type`). */
  readonly typeId: number;
  /** Bits of ENTRY_FLAG (`common_flags`). */
  readonly flags: number;
  /** `common_preempt_count`. */
  readonly preemptCount: number;
  /** The thread that wrote it (`common_pid`). */
  readonly pid: number;
  /** The common fields and the payload, with the record's padding to 4 bytes: a view, not a copy. */
  readonly entry: Uint8Array;
  /** Events of this CPU that were overwritten between the record read before and this one. */
  readonly lostBefore: number;
}

/** @internal */
export function traceRecord(cpu: Cpu, time: number, entry: Uint8Array, lostBefore: number): TraceRecord {
  const { type, flags, preemptCount, pid } = readCommonFields(entry);
  return { cpu, time: Nanoseconds(time), typeId: type, flags, preemptCount, pid, entry, lostBefore };
}
