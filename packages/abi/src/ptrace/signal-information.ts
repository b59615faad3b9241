/** `siginfo_t` of x86-64 (sigaction(2)): 128 bytes, of which the union's part depends on the code. */

/** The structure's size in bytes. */
export const SIGNAL_INFORMATION_BYTES = 128;

/** Codes of a SIGTRAP (asm-generic/siginfo.h). */
export const TRAP_CODE = { BREAKPOINT: 1, TRACE: 2, BRANCH: 3 } as const;

/** What came with a signal. */
export class SignalInformation {
  readonly bytes: Uint8Array = new Uint8Array(SIGNAL_INFORMATION_BYTES);
  readonly #view = new DataView(this.bytes.buffer);

  get signal(): number {
    return this.#view.getInt32(0, true);
  }

  /** Where it came from: 0 and below from a process, above from the kernel. */
  get code(): number {
    return this.#view.getInt32(8, true);
  }

  /** Who sent it; of a signal that a process sent, and of SIGCHLD. */
  get senderPid(): number {
    return this.#view.getInt32(16, true);
  }

  get senderUid(): number {
    return this.#view.getUint32(20, true);
  }

  /** The address that faulted; of SIGSEGV, SIGBUS, SIGILL, SIGFPE and SIGTRAP from the kernel. */
  get address(): bigint {
    return this.#view.getBigUint64(16, true);
  }

  /** The value that sigqueue(3) sent along. */
  get value(): bigint {
    return this.#view.getBigInt64(24, true);
  }
}
