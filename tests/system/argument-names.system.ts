/** Arguments of system calls by name: the values against the compiler's headers, the texts against strace's on real programs. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { nameSets, systemCallByName } from '@usertrace/abi';
import { expect, onTestFinished, test } from 'vitest';
import { finish } from '../support/child.ts';
import { missing } from '../support/requirements.ts';
import { USERTRACE } from '../support/server.ts';
import { needs } from './fixture.ts';

/** Where the constants are; those that a machine does not have are left out. */
const HEADERS = (
  'fcntl sched unistd signal time stdio netinet/in asm/prctl linux/futex linux/seccomp linux/close_range linux/falloc linux/fs ' +
  'linux/sched linux/fadvise linux/netlink linux/openat2 linux/sockios linux/loop linux/if_tun linux/perf_event linux/random linux/userfaultfd linux/nsfs linux/fiemap asm/termbits sys/epoll sys/eventfd sys/inotify sys/ioctl sys/file sys/mman sys/mount sys/pidfd ' +
  'sys/prctl sys/ptrace sys/random sys/resource sys/signalfd sys/socket sys/stat sys/timerfd sys/wait'
).split(' ');
const TIMEOUT_MS = 200_000;
/** Of all names; some headers make an enum of them, which no `#ifdef` sees. */
const KNOWN_PART = 0.85;

/** The commands do the same in each run. */
const COMMANDS = [
  [
    'sh',
    '-c',
    'ls -l / | wc -l; cat /etc/passwd /no/such/file | sort -r | head -n 2 >/dev/null; test -r /etc/hostname',
  ],
  // What it says would go between our rows.
  ['dd', 'if=/dev/zero', 'of=/dev/null', 'bs=512', 'count=3', 'status=none'],
  [
    '/usr/bin/python3',
    '-S',
    '-c',
    `import os, socket, fcntl, mmap, resource, time, select
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
fcntl.fcntl(s, fcntl.F_SETFD, 1); fcntl.fcntl(s, fcntl.F_SETFL, os.O_NONBLOCK); s.close()
a, b = socket.socketpair(); a.send(b'x', socket.MSG_NOSIGNAL); b.recv(1, socket.MSG_PEEK); a.shutdown(socket.SHUT_WR)
m = mmap.mmap(-1, 4096); m.madvise(mmap.MADV_DONTNEED)
resource.getrlimit(resource.RLIMIT_NOFILE); resource.getrusage(resource.RUSAGE_CHILDREN)
time.clock_gettime(time.CLOCK_PROCESS_CPUTIME_ID); e = select.epoll(); e.register(b, select.EPOLLIN); e.close()
f = os.open('/etc/passwd', os.O_RDONLY | os.O_NOFOLLOW); os.lseek(f, 1, os.SEEK_CUR); fcntl.flock(f, fcntl.LOCK_SH | fcntl.LOCK_NB)
os.posix_fadvise(f, 0, 0, os.POSIX_FADV_WILLNEED); os.close(f); os.pipe2(os.O_NONBLOCK)
os.access('/etc', os.W_OK | os.X_OK); os.stat('/etc/passwd', follow_symlinks=False)
p = os.fork()
if p == 0: os._exit(0)
os.waitpid(p, 0)`,
  ],
];

test('values are those of the headers', async (context) => {
  needs(context, 'cc');
  const folder = temporaryFolder();
  const constants = [...nameSets().values()].flatMap(({ choices, flags }) => [...choices, ...flags]);
  const checks = constants.map(
    ([value, name]) =>
      `#ifdef ${name}\n_Static_assert((int)(${name}) == (int)${value}, "${name}");\nint has_${name};\n#endif`,
  );
  const includes = HEADERS.map(
    (header) => `#if __has_include(<${header}.h>)\n#include <${header}.h>\n#endif`,
  );
  writeFileSync(path.join(folder, 'names.c'), ['#define _GNU_SOURCE', ...includes, ...checks].join('\n'));
  const compiled = await finish('cc', [
    '-c',
    '-o',
    path.join(folder, 'names.o'),
    path.join(folder, 'names.c'),
  ]);
  expect(compiled.stderr).toBe('');
  expect(compiled.status).toBe(0);
  const symbols = await finish('nm', [path.join(folder, 'names.o')]);
  const checked = new Set([...symbols.stdout.matchAll(/ has_(\w+)$/gm)].map(([, name]) => name));
  expect(checked.size).toBeGreaterThan(new Set(constants.map(([, name]) => name)).size * KNOWN_PART);
});

test.for(COMMANDS.map((command) => ({ program: command[0] as string, command })))(
  'arguments of $program are called as strace calls them',
  async ({ program, command }, context) => {
    if (program.startsWith('/') && !existsSync(program)) context.skip(`needs ${program}`);
    const ours = await watched(command);
    expect(ours.size).toBeGreaterThan(5);
    if (missing('strace') !== undefined) return;
    expect([...ours].toSorted()).toEqual([...(await straced(command))].toSorted());
  },
);

/** `NAME INDEX TEXT` of each argument that has constants, as `usertrace watch` shows it. */
async function watched(command: readonly string[]): Promise<Set<string>> {
  const args = [USERTRACE, 'watch', '--json', '-e', 'syscall', '--', ...command];
  const { stderr } = await finish(process.execPath, args, { timeoutMs: TIMEOUT_MS });
  const found = new Set<string>();
  for (const line of stderr.split('\n')) {
    if (!line.startsWith('{"time"')) continue;
    const row = JSON.parse(line) as { name?: string; args?: string[] };
    if (row.name !== undefined && Array.isArray(row.args)) note(found, row.name, row.args);
  }
  return found;
}

/** The same of strace. */
async function straced(command: readonly string[]): Promise<Set<string>> {
  const folder = temporaryFolder();
  await finish('strace', ['-ff', '-s', '4096', '-o', path.join(folder, 'calls'), ...command], {
    timeoutMs: TIMEOUT_MS,
  });
  const found = new Set<string>();
  for (const file of readdirSync(folder)) {
    for (const line of readFileSync(path.join(folder, file), 'utf8').split('\n')) {
      const [, name = '', text = ''] = /^(\w+)\((.*)\) += /.exec(line) ?? [];
      // It shows the new task's stack first.
      const args = name === 'clone' ? [/flags=([\w|]+)/.exec(text)?.[1] ?? ''] : splitArguments(text);
      note(found, name, args);
    }
  }
  return found;
}

function note(found: Set<string>, name: string, args: readonly string[]): void {
  for (const [index, kind] of (systemCallByName(name)?.argumentKinds ?? []).entries()) {
    const text = args[index];
    if (!kind.startsWith('{') || text === undefined) continue;
    const words = text
      .replace(/ \/\*.*\*\/$/, '')
      .split('|')
      .toSorted();
    found.add(`${name} ${index} ${words.join('|')}`);
  }
}

/** At commas that are in no string and no structure. */
function splitArguments(text: string): string[] {
  const pieces = text.matchAll(/(?:"(?:[^"\\]|\\.)*"|\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}|\[[^\]]*\]|[^,])+/g);
  return [...pieces].map(([piece]) => piece.trim());
}

function temporaryFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'usertrace-names-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
