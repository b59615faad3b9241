import { describe, expect, it } from 'vitest';
import { accessibleLength } from './mapping-text.ts';
import { REQUIRED } from './operation.ts';

const TEXT = `\
00400000-00401000 r-xp 00000000 08:02 173521      /usr/bin/program
00401000-00402000 rw-p 00001000 08:02 173521      /usr/bin/program
00402000-00403000 r--p 00002000 08:02 173521      /usr/bin/program
00404000-00405000 ---p 00000000 00:00 0
7ffd0000-7ffd1000 --xp 00000000 00:00 0           [vdso]
ffffffffff600000-ffffffffff601000 --xp 0000`;

describe('accessibleLength()', () => {
  it.each([
    ['a page that may be written', 0x401000n, 4096, REQUIRED.WRITABLE, 4096],
    ['the end of one', 0x401ffen, 4, REQUIRED.WRITABLE, 2],
    ['a page that may only be read', 0x402000n, 1, REQUIRED.WRITABLE, 0],
    ['three pages without a gap', 0x400000n, 0x4000, REQUIRED.READABLE, 0x3000],
    ['nothing at all', 0x403000n, 1, REQUIRED.READABLE, 0],
    ['what lies before every mapping', 0n, 1, REQUIRED.READABLE, 0],
    ['a page without permissions', 0x404000n, 1, REQUIRED.READABLE, 0],
    ['a page that may be executed, which x86-64 lets be read', 0x7ffd0000n, 8, REQUIRED.READABLE, 8],
    ['what lies behind every mapping', 0xffffffffff601000n, 8, REQUIRED.READABLE, 0],
  ])('knows %s', (_, address, length, required, accessible) => {
    expect(accessibleLength(TEXT, address, length, required)).toBe(accessible);
  });
});
