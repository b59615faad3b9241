/** Print formats as the kernel's events have them, and what becomes of those that are not understood. */

import { describe, expect, test } from 'vitest';
import { EntryView } from './entry-view.ts';
import { parseEventFormat } from './event-format.ts';
import { eventPrinter } from './event-printer.ts';

const FIELDS = [
  ['u64 a', 8, 8, 0],
  ['int b', 16, 4, 1],
  ['short c', 20, 2, 1],
  ['char d', 22, 1, 1],
  ['u8 e', 23, 1, 0],
  ['char n[8]', 24, 8, 1],
  ['__data_loc u8[] raw', 32, 4, 0],
] as const;
const ENTRY = Buffer.alloc(48);
ENTRY.writeBigUInt64LE(0x1234_5678_9abc_def0n, 8);
ENTRY.writeInt32LE(-5, 16);
ENTRY.writeInt16LE(-6, 20);
ENTRY.set([65, 200], 22);
ENTRY.set(Buffer.from('name'), 24);
ENTRY.writeUInt32LE(3 * 2 ** 16 + 36, 32);
ENTRY.set([1, 0xab, 3], 36);

function printed(printFormat: string): string {
  const lines = FIELDS.map(
    ([declaration, offset, size, signed]) =>
      `\tfield:${declaration};\toffset:${offset};\tsize:${size};\tsigned:${signed};\n`,
  );
  const format = parseEventFormat(
    'test',
    `name: x\nID: 7\nformat:\n${lines.join('')}\nprint fmt: ${printFormat}\n`,
  );
  if (format === undefined) throw new Error('no format');
  const entry = new EntryView();
  entry.set(ENTRY);
  return eventPrinter(format)(entry);
}

// Each expected text is what trace-cmd 3.1.6 printed.
describe('eventPrinter()', () => {
  test.each([
    ['"%x %X %#x %016llx", REC->a, REC->a, REC->a, REC->a', '9abcdef0 9ABCDEF0 0x9abcdef0 123456789abcdef0'],
    ['"%x %d %u %ld", REC->b, REC->b, REC->b, REC->b', 'fffffffb -5 4294967291 4294967291'],
    ['"%hx %hd %hhd", REC->b, REC->b, REC->b', 'fffb -5 -5'],
    ['"%d %lld", REC->c, REC->c', '65530 65530'],
    ['"%5d|%-5d|%05d|%.3d", REC->d, REC->d, REC->d, REC->b', '   65|65   |00065|-005'],
    ['"%c %+d| %5%| %q|%%|%d", REC->d', '>c< >+<d| >%<| >q<|%|65'],
    ['"%10s|%-10s|%.2s|%*d", REC->n, REC->n, REC->n, 6, REC->e', '      name|name      |na|   200'],
    ['"%d %d", (int)(REC->c) + 5, -REC->b', '65535 5'],
    ['"%s", REC->e > 3 ? "yes" : "no"', 'yes'],
    ['"%s", __print_symbolic(REC->e, {200, "two" "hundred"}, {1, "one"})', 'twohundred'],
    ['"%s", __print_symbolic(REC->d, {200, "twohundred"}, {1, "one"})', '0x41'],
    ['"%s", __print_flags(REC->e, "|", {0x40, "forty"}, {1 << 7, "eighty"})', 'forty|eighty|0x8'],
    ['"%s", __print_hex(REC->n, 8)', '6e 61 6d 65 00 00 00 00'],
    ['"%d", __get_dynamic_array_len(raw)', '3'],
    ['"%d %llu", REC->a & 0xff, REC->a >> 4', '240 81985529216486895'],
    ['"tab\\tback\\\\ sl\\x41"', 'tab\tback\\ slx41'],
    ['"%p %o %i", REC->a, REC->e, REC->b', '0x123456789abcdef0 310 -5'],
    ['"%d", REC->nosuch', '0'],
  ])('prints %s', (printFormat, expected) => {
    expect(printed(printFormat)).toBe(expected);
  });

  test.each([
    '"%s", some_function(REC->e)',
    '"%d %d", REC->b',
    '"%d',
    '"%pI4", REC->n',
    `"%d", ${'('.repeat(100)}REC->b${')'.repeat(100)}`,
  ])('falls back to the fields for %s', (printFormat) => {
    expect(printed(printFormat)).toBe(
      '[FAILED TO PARSE] a=1311768467463790320 b=-5 c=-6 d=65 e=200 n=name raw=ARRAY[01, ab, 03]',
    );
  });

  test('a field outside of the entry is zero or nothing', () => {
    const format = parseEventFormat(
      'test',
      'name: x\nID: 7\nformat:\n\tfield:u32 a;\toffset:100;\tsize:4;\tsigned:0;\n' +
        '\tfield:__rel_loc char[] s;\toffset:8;\tsize:4;\tsigned:1;\n\nprint fmt: "%u|%s|", REC->a, __get_rel_str(s)\n',
    );
    const entry = new EntryView();
    entry.set(Buffer.alloc(12, 0xff));
    expect(format && eventPrinter(format)(entry)).toBe('0||');
  });
});
