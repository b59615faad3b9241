/** The texts of this folder, against those of the kernel that runs the test where its tracefs is readable. */
import { accessSync, constants, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { readCommonFields } from './entry.ts';
import { HEADER_EVENT_TEXT, HEADER_PAGE_TEXT } from './header-texts.ts';
import { PRINT_FORMAT_TEXT, encodePrintPayload, printEntryText } from './print-entry.ts';

const EVENTS = '/sys/kernel/tracing/events';

function isReadable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}

const printed = (text: string): string => {
  const entry = Buffer.concat([Buffer.alloc(8), encodePrintPayload(Buffer.from(text, 'latin1'))]);
  return printEntryText(entry);
};

describe('texts of events/', () => {
  test.skipIf(!isReadable(`${EVENTS}/header_page`)).each([
    ['header_page', HEADER_PAGE_TEXT],
    ['header_event', HEADER_EVENT_TEXT],
    ['ftrace/print/format', PRINT_FORMAT_TEXT],
  ])('%s is what the running kernel says', (name, text) => {
    expect(text).toBe(readFileSync(`${EVENTS}/${name}`, 'latin1'));
  });
});

describe('print entries', () => {
  test.each([
    ['hello', 'hello\n'],
    ['hello\n', 'hello\n'],
    ['a\nb', 'a\nb\n'],
    ['cut\0here', 'cut'],
    ['\xff\xe4', '\xff\xe4\n'],
  ])('of %j say %j', (text, expected) => {
    expect(printed(text)).toBe(expected);
  });

  test('end with the entry when no zero does', () => {
    expect(printEntryText(Buffer.alloc(20, 'x'))).toBe('xxxx');
  });
});

describe('readCommonFields()', () => {
  test('reads type, flags, preempt count and pid', () => {
    const entry = Uint8Array.of(0xd0, 0x07, 0x41, 0x12, 0xfe, 0xff, 0xff, 0xff);
    expect(readCommonFields(entry)).toEqual({ type: 2000, flags: 0x41, preemptCount: 0x12, pid: -2 });
  });
});
