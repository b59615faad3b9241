/**
 * The text of /proc/PID/maps (proc_pid_maps(5)), for kernels before Linux 6.11, which have no PROCMAP_QUERY: whether
 * a range of addresses may be accessed.
 */
import { REQUIRED } from './operation.ts';

/** `start-end perms ...`, perms being `rwxp` or dashes. */
const LINE = /^([0-9a-f]+)-([0-9a-f]+) (.)(.)(.)/;

/**
 * How many bytes from an address on may be accessed without a gap.
 *
 * @param text lines of /proc/PID/maps in order; the last may be cut off
 * @param address the first byte
 * @param length how many bytes are wanted
 * @param required one of `REQUIRED`
 * @returns from 0 to `length`
 */
export function accessibleLength(text: string, address: bigint, length: number, required: number): number {
  const wantedEnd = address + BigInt(length);
  let reached = address;
  for (const line of text.split('\n')) {
    const match = LINE.exec(line);
    if (match === null) continue;
    const [, start, end, read, write, execute] = match;
    if (reached < BigInt(`0x${start}`)) break;
    if (reached >= BigInt(`0x${end}`)) continue;
    const permits = required === REQUIRED.WRITABLE ? write === 'w' : `${read}${write}${execute}` !== '---';
    if (!permits) break;
    reached = BigInt(`0x${end}`);
    if (reached >= wantedEnd) return length;
  }
  return Number(reached - address);
}
