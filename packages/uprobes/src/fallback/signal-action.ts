/** The kernel's `struct sigaction` of x86-64, as rt_sigaction(2) takes it: handler, flags, restorer, mask; 8 bytes each. */

export const SIGNAL_ACTION_BYTES = 32;

export const SIG_DFL = 0n;
export const SIG_IGN = 1n;
export const SA_SIGINFO = 0x4n;
export const SA_RESTORER = 0x0400_0000n;
export const SA_ONSTACK = 0x0800_0000n;
export const SA_NODEFER = 0x4000_0000n;
/** SIGILL, which breakpoints make. */
export const SIGILL = 4;
/** Its bit in a mask. */
export const ILL_BIT = 0x8n;
export const ALL_SIGNALS = 0xffff_ffff_ffff_ffffn;

/** What a program does with a signal. */
export interface SignalAction {
  /** An address, SIG_DFL or SIG_IGN. */
  readonly handler: bigint;
  readonly flags: bigint;
  readonly restorer: bigint;
  /** Signals that are blocked meanwhile. */
  readonly mask: bigint;
}

export function encodeSignalAction({ handler, flags, restorer, mask }: SignalAction): Uint8Array {
  return new Uint8Array(BigUint64Array.of(handler, flags, restorer, mask).buffer);
}

/** @param bytes SIGNAL_ACTION_BYTES of them */
export function decodeSignalAction(bytes: Uint8Array): SignalAction {
  const view = new DataView(bytes.buffer, bytes.byteOffset, SIGNAL_ACTION_BYTES);
  const word = (index: number): bigint => view.getBigUint64(index * 8, true);
  return { handler: word(0), flags: word(1), restorer: word(2), mask: word(3) };
}
