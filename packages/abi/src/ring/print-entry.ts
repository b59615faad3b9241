/**
 * The `print` event, which a write to trace_marker makes (`events/ftrace/print`).
 *
 *     byte 0                8         16                          n     n+2
 *          +----------------+---------+---------------------------+-----+
 *          | common fields  | u64 ip  | the text                  | \n\0|
 *          +----------------+---------+---------------------------+-----+
 *
 * The newline is only added when the text does not end with one; the length leaves room for it anyway. `ip` is
 * where in the kernel the text was written, and prints as the function's name; in user space there is none.
 */
import { COMMON_FIELDS_FORMAT, COMMON_FIELDS_SIZE } from './entry.ts';

/** The id of the print event. */
export const PRINT_EVENT_ID = 5;
/** The longest text of one write to trace_marker, in bytes; the rest is for another write. */
export const PRINT_TEXT_MAX: number = 4072 - COMMON_FIELDS_SIZE - 8 - 2;

const IP_SIZE = 8;
const TEXT_OFFSET = COMMON_FIELDS_SIZE + IP_SIZE;
const NEWLINE = 0x0a;

/** The text of `events/ftrace/print/format`. */
export const PRINT_FORMAT_TEXT: string =
  `name: print\nID: ${PRINT_EVENT_ID}\nformat:\n${COMMON_FIELDS_FORMAT}\n` +
  '\tfield:unsigned long ip;\toffset:8;\tsize:8;\tsigned:0;\n' +
  '\tfield:char buf[];\toffset:16;\tsize:0;\tsigned:0;\n' +
  '\nprint fmt: "%ps: %s", (void *)REC->ip, REC->buf\n';

/**
 * What follows the common fields of a print entry.
 *
 * @param text what was written to trace_marker
 */
export function encodePrintPayload(text: Uint8Array): Uint8Array {
  const payload = new Uint8Array(IP_SIZE + text.length + 2);
  payload.set(text, IP_SIZE);
  if (text.at(-1) !== NEWLINE) payload[IP_SIZE + text.length] = NEWLINE;
  return payload;
}

/**
 * The text of a print entry, up to its first zero byte.
 *
 * @param entry the entry, common fields first
 */
export function printEntryText(entry: Uint8Array): string {
  const end = entry.indexOf(0, TEXT_OFFSET);
  return Buffer.from(entry.subarray(TEXT_OFFSET, end < 0 ? entry.length : end)).toString('latin1');
}
