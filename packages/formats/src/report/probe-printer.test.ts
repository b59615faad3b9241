import { describe, expect, test } from 'vitest';
import { EntryView } from './entry-view.ts';
import { parseEventFormat } from './event-format.ts';
import { probePrinter } from './probe-printer.ts';

/** Two numbers behind the common fields' 8 bytes, then what the test says, then the texts "one" and "". */
const ENTRY = Buffer.alloc(64);
ENTRY.writeBigUInt64LE(0x40_1136n, 8);
ENTRY.writeBigUInt64LE(0x40_2000n, 16);
ENTRY.set([0xfb, 65, 1, 0xff], 24);
ENTRY.writeUInt32LE(4 * 2 ** 16 + 48, 28);
ENTRY.writeUInt32LE(1 * 2 ** 16 + 51, 32);
ENTRY.writeUInt32LE(48, 36);
ENTRY.set(Buffer.from('one\0'), 48);

const IP = ['unsigned long __probe_ip', 8, 8, 0] as const;
const RETURN = [
  ['unsigned long __probe_func', 8, 8, 0],
  ['unsigned long __probe_ret_ip', 16, 8, 0],
] as const;

function printed(
  fields: readonly (readonly [string, number, number, number])[],
  print: string,
): string | undefined {
  const lines = fields.map(
    ([declared, offset, size, signed]) =>
      `\tfield:${declared};\toffset:${offset};\tsize:${size};\tsigned:${signed};\n`,
  );
  const format = parseEventFormat('g', `name: e\nID: 7\nformat:\n${lines.join('')}\nprint fmt: ${print}\n`);
  const entry = new EntryView();
  entry.set(ENTRY);
  return format === undefined ? undefined : probePrinter(format)?.(entry);
}

// Each expected text is what the kernel's trace (6.18) has.
describe('probePrinter()', () => {
  test('prints where the hit was', () => {
    expect(printed([IP], '"(%lx)", REC->__probe_ip')).toBe('(0x401136)');
    const print = '"(%lx <- %lx)", REC->__probe_func, REC->__probe_ret_ip';
    expect(printed(RETURN, print)).toBe('(0x402000 <- 0x401136)');
  });

  test('prints numbers with their signs, characters, and arrays', () => {
    expect(
      printed(
        [IP, ['s8 a', 24, 1, 1], ['u8 b', 25, 1, 0], ['u8 c[]', 24, 4, 0], ['u16 d', 26, 2, 0]],
        '"(%lx) a=%d b=\'%c\' c={%u,%u,%u,%u} d=0x%x", REC->__probe_ip, REC->a, REC->b, REC->c[0]',
      ),
    ).toBe("(0x401136) a=-5 b='A' c={251,65,1,255} d=0xff01");
  });

  test('prints texts, empty ones, and those that could not be read', () => {
    const fields = [IP, ['__data_loc char[] s', 28, 4, 1], ['__data_loc char[][3] t', 28, 12, 1]] as const;
    const print = '"(%lx) s=\\"%s\\" t={\\"%s\\",\\"%s\\",\\"%s\\"}", REC->__probe_ip, __get_str(s)';
    expect(printed(fields, print)).toBe('(0x401136) s="one" t={"one","",(fault)}');
  });

  test('leaves other events to others', () => {
    expect(printed([['int a', 8, 4, 1]], '"a=%d", REC->a')).toBeUndefined();
  });
});
