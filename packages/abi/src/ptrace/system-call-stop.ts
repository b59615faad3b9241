/**
 * `struct ptrace_syscall_info` (linux/ptrace.h, Linux 5.3): what a task stopped for a system call is doing. One object is
 * pointed at a buffer that each PTRACE_GET_SYSCALL_INFO fills anew, so that a stop costs no allocation; who keeps it
 * longer than a callback keeps a `clone`.
 *
 *     u8 op; u8 pad[3]; u32 arch; u64 instruction_pointer; u64 stack_pointer;
 *     entry:   u64 nr; u64 args[6];
 *     exit:    s64 rval; u8 is_error;
 *     seccomp: u64 nr; u64 args[6]; u32 ret_data;
 */

/** The structure's size in bytes. */
export const SYSTEM_CALL_INFO_BYTES = 88;

/** What `operation` may be (PTRACE_SYSCALL_INFO_*). */
export const SYSTEM_CALL_OPERATION = { NONE: 0, ENTRY: 1, EXIT: 2, SECCOMP: 3 } as const;

/** AUDIT_ARCH_X86_64 (linux/audit.h): other calls than x86-64's have other numbers. */
export const AUDIT_ARCH_X86_64 = 0xc000003e;

const ERRNO_MAX = 4095;
const ARGUMENTS_OFFSET = 32;

/** What the kernel says about a stop for a system call. */
export class SystemCallStop {
  /** The structure's bytes. */
  readonly bytes: Uint8Array = new Uint8Array(SYSTEM_CALL_INFO_BYTES);
  /** The part with the six arguments, of 8 bytes each; only at entry. */
  readonly argumentBytes: Uint8Array = this.bytes.subarray(ARGUMENTS_OFFSET, ARGUMENTS_OFFSET + 48);
  readonly #view = new DataView(this.bytes.buffer);
  /**
   * The call's number: said by the kernel at entry, remembered by the tracer at exit; -1 when the task was already in
   * a call when tracing began.
   */
  number = -1;

  /** One of SYSTEM_CALL_OPERATION. */
  get operation(): number {
    return this.bytes[0] as number;
  }

  get architecture(): number {
    return this.#view.getUint32(4, true);
  }

  get instructionPointer(): bigint {
    return this.#view.getBigUint64(8, true);
  }

  get stackPointer(): bigint {
    return this.#view.getBigUint64(16, true);
  }

  /** The number in the structure; only at entry. */
  get enteredNumber(): number {
    return this.#view.getInt32(24, true);
  }

  /**
   * An argument; only at entry.
   *
   * @param index from 0 to 5
   */
  argument(index: number): bigint {
    return this.#view.getBigUint64(ARGUMENTS_OFFSET + 8 * index, true);
  }

  /** What the call answered, an error as its negative number; only at exit. */
  get result(): number {
    return this.#view.getInt32(28, true) * 0x1_0000_0000 + this.#view.getUint32(24, true);
  }

  /** The same in all its 64 bits: an address, for instance. */
  get wideResult(): bigint {
    return this.#view.getBigInt64(24, true);
  }

  /** Whether the call failed; only at exit. */
  get isError(): boolean {
    return this.bytes[32] !== 0;
  }

  /** The error number of a call that failed, otherwise 0; restart codes of the kernel (512 to 516) among them. */
  get errno(): number {
    return this.isError && -this.result <= ERRNO_MAX ? -this.result : 0;
  }

  /** A copy that stays as it is. */
  clone(): SystemCallStop {
    const copy = new SystemCallStop();
    copy.bytes.set(this.bytes);
    copy.number = this.number;
    return copy;
  }
}
