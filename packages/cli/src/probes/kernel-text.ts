/** The text of a probe's event as the kernel's `trace` has it. */

/** The kernel prints addresses with 0x, trace-cmd without, and our printer prints as trace-cmd (3.1.6). */
const ADDRESSES = /^\(([0-9a-f]+)(?: <- ([0-9a-f]+))?\)/;

/** @param text as the event's print format has it */
export function kernelProbeText(text: string): string {
  return text.replace(ADDRESSES, (_, at: string, from?: string) =>
    from === undefined ? `(0x${at})` : `(0x${at} <- 0x${from})`,
  );
}
