import { describe, expect, it } from 'vitest';
import { nameSets } from './argument-names.ts';
import { structureNames } from './argument-structures.ts';
import { argumentTexts, escapedText } from './argument-texts.ts';
import { MAX_SYSTEM_CALL, systemCall, systemCallByName } from './system-calls.ts';

/** Memory of one string at one address. */
function memory(text: string, at = 0x1000n): (address: bigint, size: number) => Uint8Array {
  const bytes = Buffer.from(`${text}\0`);
  return (address, size) => (address === at ? bytes.subarray(0, size) : new Uint8Array());
}

/** Memory of one structure at the same address. */
function structure(...fields: bigint[]): (address: bigint, size: number) => Uint8Array {
  const bytes = new Uint8Array(BigUint64Array.from(fields).buffer);
  return (address, size) => (address === 0x1000n ? bytes.subarray(0, size) : new Uint8Array());
}

function texts(name: string, args: bigint[], read?: (address: bigint, size: number) => Uint8Array): string {
  return argumentTexts(systemCallByName(name)?.number as number, (index) => args[index] ?? 0n, read).join(
    ', ',
  );
}

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
    expect(texts('lseek', [3n, -1n, 2n])).toBe('3, -1, SEEK_END');
  });

  it('names flags and choices', () => {
    expect(texts('access', [0x1000n, 4n], memory('a'))).toBe('"a", R_OK');
    expect(texts('access', [0x1000n, 0n], memory('a'))).toBe('"a", F_OK');
    expect(texts('newfstatat', [3n, 0x1000n, 0n, 0x1100n], memory(''))).toBe(
      '3, "", NULL, AT_SYMLINK_NOFOLLOW|AT_EMPTY_PATH',
    );
    expect(texts('clone', [0x1200011n])).toBe(
      'SIGCHLD|CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID, NULL, NULL, NULL, 0',
    );
    expect(texts('arch_prctl', [0x1002n, 0x7f00n])).toBe('ARCH_SET_FS, 0x7f00');
    expect(texts('futex', [0x1000n, 0x189n, 1n])).toMatch(
      /^0x1000, FUTEX_WAIT_BITSET_PRIVATE\|FUTEX_CLOCK_REALTIME, 1,/,
    );
    expect(texts('mmap', [0n, 1n, 0n, 0x812n, 3n, 0n])).toBe(
      'NULL, 1, PROT_NONE, MAP_PRIVATE|MAP_FIXED|MAP_DENYWRITE, 3, 0',
    );
    expect(texts('getrusage', [0xffff_ffff_ffff_ffffn, 0n])).toBe('RUSAGE_CHILDREN, NULL');
    expect(texts('lseek', [3n, 0n, 77n])).toBe('3, 0, 0x4d');
    expect(texts('accept4', [3n, 0n, 0n, 0x80800n])).toBe('3, NULL, NULL, SOCK_CLOEXEC|SOCK_NONBLOCK');
  });

  it('reads what follows a command as the command has it', () => {
    expect(texts('fcntl', [3n, 2n, 1n])).toBe('3, F_SETFD, FD_CLOEXEC');
    expect(texts('fcntl', [3n, 3n, 99n])).toBe('3, F_GETFL');
    expect(texts('fcntl', [3n, 4n, 0x802n])).toBe('3, F_SETFL, O_RDWR|O_NONBLOCK');
    expect(texts('setsockopt', [3n, 1n, 2n, 0n, 4n])).toBe('3, SOL_SOCKET, SO_REUSEADDR, NULL, 4');
    expect(texts('setsockopt', [3n, 6n, 2n, 0n, 4n])).toBe('3, SOL_TCP, 2, NULL, 4');
  });

  it('finds each set that the table of system calls names, and no set is without a call', () => {
    const used = new Set<string>(['{descriptor}', '{socket_option}', '{resolve}']);
    for (let number = 0; number <= MAX_SYSTEM_CALL; number++)
      for (const kind of systemCall(number)?.argumentKinds ?? []) if (kind.length > 1) used.add(kind);
    expect(used).toEqual(new Set([...nameSets().keys(), ...structureNames()]));
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

  it('shows structures by their fields, as much as there is of them', () => {
    expect(texts('nanosleep', [0x1000n, 0n], structure(1n, 500n))).toBe('{tv_sec=1, tv_nsec=500}, NULL');
    expect(texts('clock_nanosleep', [1n, 1n, 0x2000n, 0n], structure(1n, 500n))).toBe(
      'CLOCK_MONOTONIC, TIMER_ABSTIME, 0x2000, NULL',
    );
    expect(texts('setrlimit', [7n, 0x1000n], structure(20000n, 0xffff_ffff_ffff_ffffn))).toBe(
      'RLIMIT_NOFILE, {rlim_cur=20000, rlim_max=RLIM_INFINITY}',
    );
    expect(texts('prlimit64', [0n, 3n, 0n, 0x7000n], structure())).toBe('0, RLIMIT_STACK, NULL, 0x7000');
    const spawned = structure(0x1_0000_4100n, 0n, 0n, 0n, 17n, 0x7f00n, 0x9000n, 0n, 9n, 9n, 9n);
    expect(texts('clone3', [0x1000n, 64n], spawned)).toBe(
      '{flags=CLONE_VM|CLONE_VFORK|CLONE_CLEAR_SIGHAND, exit_signal=SIGCHLD, stack=0x7f00, stack_size=0x9000}, 64',
    );
    expect(
      texts('clone3', [0x1000n, 88n], structure(0x2_0000_0000n, 5n, 0n, 0n, 0n, 0n, 0n, 0n, 0n, 0n, 3n)),
    ).toBe('{flags=CLONE_INTO_CGROUP, pidfd=0x5, exit_signal=0, stack=NULL, stack_size=0, cgroup=3}, 88');
    expect(texts('openat2', [0xffff_ff9cn, 0x2000n, 0x1000n, 24n], structure(0o2000000n, 0n, 8n))).toBe(
      'AT_FDCWD, 0x2000, {flags=O_RDONLY|O_CLOEXEC, resolve=RESOLVE_BENEATH}, 24',
    );
  });

  it('names requests of devices', () => {
    expect(texts('ioctl', [0n, 0x8004_5430n, 0x7000n])).toBe('0, TIOCGPTN, 0x7000');
    expect(texts('ioctl', [3n, 0x4004_9409n, 4n])).toBe('3, FICLONE, 0x4');
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
