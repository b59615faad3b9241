import { existsSync, readFileSync } from 'node:fs';
import { ElfFile, sdtSites } from '@usertrace/abi';
import { describe, expect, it } from 'vitest';
import { parseDefinition } from './definition.ts';
import { sdtDefinition } from './sdt-definition.ts';

const LIBC = '/usr/lib/x86_64-linux-gnu/libc.so.6';

/** A file whose only segment maps everything at 0x1000 above its place in the file. */
const file = {
  segments: [{ type: 1, flags: 5, offset: 0, address: 0x1000n, fileSize: 0x10000, memorySize: 0x10000n }],
} as unknown as ElfFile;

describe('sdtDefinition()', () => {
  it('turns a site into a definition, with its counter, and says what it must leave out', () => {
    const site = {
      provider: 'my-app',
      name: 'start',
      address: 0x1234n,
      counter: 0x2000n,
      arguments: '-4@%edi 8@-16(%rbp) 1@$5 8f@%xmm0 4@%r9d 8@8(%rax,%rbx,4) 1@%cl',
    };
    expect(sdtDefinition(site, '/bin/app', file)).toEqual({
      command:
        'p:sdt_my_app/start /bin/app:0x234(0x1000) arg1=%di:s32 arg2=-16(%bp):u64 arg3=\\5:u8 arg5=%r9:u32 arg7=%cx:u8',
      omitted: [4, 6],
    });
  });

  it.skipIf(!existsSync(LIBC))('makes definitions that are taken for all sites of the C library', () => {
    const libc = new ElfFile(readFileSync(LIBC));
    const sites = sdtSites(libc);
    for (const site of sites) {
      const made = sdtDefinition(site, LIBC, libc);
      expect(made).toBeDefined();
      expect(
        parseDefinition(made?.command ?? '', { look: () => ({ kind: 'regular', identity: 'libc' }) })?.event,
      ).toBe(site.name);
    }
  });
});
