/**
 * The fields that every entry starts with (the kernel's `struct trace_entry`, `common_*` in format files).
 *
 *     byte 0            2        3                4              8
 *          +------------+--------+----------------+--------------+----------
 *          | u16 type   | flags  | preempt count  | s32 pid      | fields of the event
 *          +------------+--------+----------------+--------------+----------
 */

/** Bytes of the common fields. */
export const COMMON_FIELDS_SIZE = 8;
/** The largest event id that `common_type` holds. */
export const EVENT_ID_MAX = 0xffff;

/** Bits of `common_flags`. */
export const ENTRY_FLAG = {
  IRQS_OFF: 0x01,
  NEED_RESCHED_LAZY: 0x02,
  NEED_RESCHED: 0x04,
  HARDIRQ: 0x08,
  SOFTIRQ: 0x10,
  PREEMPT_RESCHED: 0x20,
  NMI: 0x40,
  BH_OFF: 0x80,
} as const;

/** The common fields of one entry. */
export interface CommonFields {
  /** The event's id. */
  readonly type: number;
  /** Bits of ENTRY_FLAG. */
  readonly flags: number;
  /** Low 4 bits: how deep preemption is off; high 4 bits: how deep migration is. */
  readonly preemptCount: number;
  /** The thread that wrote the event. */
  readonly pid: number;
}

/**
 * Reads the common fields.
 *
 * @param entry an entry; at least COMMON_FIELDS_SIZE bytes
 * @throws {RangeError} when the entry is shorter
 */
export function readCommonFields(entry: Uint8Array): CommonFields {
  const view = new DataView(entry.buffer, entry.byteOffset, entry.length);
  return {
    type: view.getUint16(0, true),
    flags: view.getUint8(2),
    preemptCount: view.getUint8(3),
    pid: view.getInt32(4, true),
  };
}

/** The declaration of the common fields in a format file, each with its line end. */
export const COMMON_FIELDS_FORMAT: string = [
  '\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n',
  '\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n',
  '\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;\n',
  '\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n',
].join('');
