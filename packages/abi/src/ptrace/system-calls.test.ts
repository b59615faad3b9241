import { describe, expect, it } from 'vitest';
import { argumentTexts, escapedText, systemCall, systemCallByName, systemCallName } from './system-calls.ts';

/** Memory of one string at one address. */
function memory(text: string, at = 0x1000n): (address: bigint, size: number) => Uint8Array {
  const bytes = Buffer.from(`${text}\0`);
  return (address, size) => (address === at ? bytes.subarray(0, size) : new Uint8Array());
}

function texts(name: string, args: bigint[], read?: (address: bigint, size: number) => Uint8Array): string {
  return argumentTexts(systemCallByName(name)?.number as number, (index) => args[index] ?? 0n, read).join(
    ', ',
  );
}

describe('systemCall()', () => {
  it('knows the calls of x86-64 by number and by name', () => {
    expect(systemCallName(0)).toBe('read');
    expect(systemCallName(59)).toBe('execve');
    expect(systemCallName(435)).toBe('clone3');
    expect(systemCallName(9999)).toBe('syscall_9999');
    expect(systemCallByName('getppid')?.number).toBe(110);
    expect(systemCallByName('no_such_call')).toBeUndefined();
    expect(systemCall(110)?.argumentKinds).toEqual([]);
  });
});

describe('argumentTexts()', () => {
  it('prints descriptors, strings, flags and sizes as strace does', () => {
    expect(texts('openat', [0xffff_ff9cn, 0x1000n, 0o2000101n, 0o644n], memory('/etc/passwd'))).toBe(
      'AT_FDCWD, "/etc/passwd", O_WRONLY|O_CREAT|O_CLOEXEC, 0644',
    );
    expect(texts('write', [1n, 0x1000n, 6n], memory('hello\n'))).toBe('1, "hello\\n", 6');
    expect(texts('mmap', [0n, 4096n, 3n, 0x22n, 0xffff_ffffn, 0n])).toBe(
      'NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0',
    );
    expect(texts('kill', [7n, 15n])).toBe('7, SIGTERM');
    expect(texts('lseek', [3n, -1n, 2n])).toBe('3, -1, 2');
  });

  it('says when a string goes on, and gives the address of one that cannot be read', () => {
    expect(texts('chdir', [0x1000n], memory('x'.repeat(100)))).toBe(`"${'x'.repeat(64)}"...`);
    expect(texts('write', [1n, 0x1000n, 100n], memory('x'.repeat(100)))).toBe(
      `1, "${'x'.repeat(64)}"..., 100`,
    );
    expect(texts('chdir', [0x2000n], memory('x'))).toBe('0x2000');
    expect(texts('chdir', [0n], memory('x'))).toBe('NULL');
  });

  it('shows as much of a string as is asked for', () => {
    for (const [length, text] of [
      [100, `"${'x'.repeat(100)}"`],
      [101, `"${'x'.repeat(100)}"...`],
    ] as const)
      expect(argumentTexts(80, () => 0x1000n, memory('x'.repeat(length)), 100)).toEqual([text]);
  });

  it('leaves out the mode of an open that makes no file', () => {
    const opened = (flags: bigint): string => texts('openat', [3n, 0x1000n, flags, 0o600n], memory('a'));
    expect(opened(0n)).toBe('3, "a", O_RDONLY');
    expect(opened(0o20200002n)).toBe('3, "a", O_RDWR|O_TMPFILE, 0600');
    expect(opened(0o200000n)).toBe('3, "a", O_RDONLY|O_DIRECTORY');
    expect(texts('open', [0x1000n, 0o101n, 0o644n], memory('a'))).toBe('"a", O_WRONLY|O_CREAT, 0644');
  });

  it('gives six numbers for a call whose arguments are not in the table', () => {
    expect(argumentTexts(9999, (index) => BigInt(index))).toEqual(['0x0', '0x1', '0x2', '0x3', '0x4', '0x5']);
  });
});

describe('escapedText()', () => {
  it('leaves printable ASCII as it is, and nothing that a terminal acts on', () => {
    expect(escapedText(Buffer.from('a b~!"\\\n\t\r'))).toBe('a b~!\\"\\\\\\n\\t\\r');
    expect(escapedText(Uint8Array.of(0, 0x1b, 0x7f, 0x80, 0xff))).toBe('\\x00\\x1b\\x7f\\x80\\xff');
  });
});
