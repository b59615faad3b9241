/** The tracker on this machine: a C program makes processes in every way there is, and the tracker is to follow. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Tid } from '@usertrace/base';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { checked, libc } from '../bindings.ts';
import { Reactor } from '../reactor/reactor.ts';
import { perfmonCapable, verifyCaller } from './caller.ts';
import { openProcessConnector, ProcessConnector } from './connector.ts';
import { readTaskCommand, readTaskStat, readTaskStatus } from './procfs.ts';
import type { TaskSink } from './port.ts';
import { SystemTasks } from './system-tasks.ts';
import { TaskTracker } from './tracker.ts';

const hasCompiler = spawnSync('cc', ['--version']).status === 0;
const hasSetarch = spawnSync('setarch', ['--addr-no-randomize', 'true']).status === 0;
const connectorOrReason = openProcessConnector();
const connectorRefusal = connectorOrReason instanceof ProcessConnector ? undefined : connectorOrReason.reason;
if (connectorOrReason instanceof ProcessConnector) connectorOrReason.close();

/** Each line on its input is one thing to do; each line on its output the ids of the tasks that it made. */
const PROGRAM = String.raw`
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char *self;
static int answer[2];

static void rest(void) { for (;;) pause(); }
static int cloned(void *unused) { (void)unused; rest(); return 0; }
static void *thread(void *what)
{
	int32_t tid = syscall(SYS_gettid);
	if (what && write(answer[1], &tid, 4)) execl(self, self, "again", NULL);
	if (write(answer[1], &tid, 4)) rest();
	return NULL;
}
static int32_t start_thread(void *(*body)(void *), void *what)
{
	pthread_t handle;
	int32_t tid = 0;
	pthread_create(&handle, NULL, body, what);
	return read(answer[0], &tid, 4) == 4 ? tid : 0;
}
static void *wait_in_call(void *unused)
{
	int32_t tid = syscall(SYS_gettid);
	int empty[2];
	(void)unused;
	if (pipe(empty) || !write(answer[1], &tid, 4)) return NULL;
	/* Waits for ever; ioctl(fd, command, argument) has its arguments in the same places. */
	return (void *)syscall(SYS_read, empty[0], 0xc0de4321, 0x5678);
}

int main(int argc, char **argv)
{
	char line[64];
	pid_t last = 0;
	self = argv[0];
	if (pipe(answer)) return 1;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (argc > 1) printf("%d\n", getpid());
	fflush(stdout);
	while (fgets(line, sizeof line, stdin)) {
		int count = 1;
		pid_t pid = 0;
		if (!strcmp(line, "hello\n")) pid = getpid();
		else if (!strcmp(line, "fork\n")) { if (!(pid = fork())) rest(); }
		else if (!strcmp(line, "spawn\n")) { if (!(pid = vfork())) { execl("/bin/sleep", "sleep", "1000", NULL); _exit(1); } }
		else if (!strcmp(line, "clone\n")) {
			char *stack = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			pid = clone(cloned, stack + 65536, CLONE_VM | SIGCHLD, NULL);
		} else if (!strcmp(line, "thread\n")) pid = start_thread(thread, NULL);
		else if (!strcmp(line, "exec\n")) { start_thread(thread, "exec"); rest(); }
		else if (!strcmp(line, "wait\n")) pid = start_thread(wait_in_call, NULL);
		else if (!strcmp(line, "daemon\n")) {
			if (!(pid = fork())) {
				int32_t grandchild = fork();
				if (!grandchild) rest();
				_exit(write(answer[1], &grandchild, 4) != 4);
			}
			waitpid(pid, NULL, 0);
			if (read(answer[0], &pid, 4) != 4) return 1;
		} else if (!strcmp(line, "kill\n")) { kill(last, SIGKILL); waitpid(last, NULL, 0); pid = last; }
		else if (sscanf(line, "bomb %d", &count) == 1) {
			for (int i = 0; i < count; i++) { if (!(pid = fork())) rest(); printf("%d ", pid); }
			printf("\n");
			fflush(stdout);
			continue;
		}
		last = pid;
		printf("%d\n", pid);
		fflush(stdout);
	}
	signal(SIGTERM, SIG_IGN);
	kill(0, SIGTERM);
	return 0;
}
`;

let folder = '';
let program = '';

beforeAll(() => {
  if (!hasCompiler) return;
  folder = mkdtempSync(join(tmpdir(), 'usertrace-tasks-'));
  program = join(folder, 'maker');
  writeFileSync(`${program}.c`, PROGRAM);
  execFileSync('cc', ['-O1', '-pthread', '-o', program, `${program}.c`]);
});

afterAll(() => {
  if (folder !== '') rmSync(folder, { recursive: true });
});

/** The program, run. */
class Maker {
  readonly process: ChildProcess;
  readonly tid: Tid;
  readonly #lines: AsyncIterator<string>;

  /** @param command the program, and what is to start it */
  constructor(command: readonly string[] = [program]) {
    // In a group of its own, so that it can end its children with itself.
    const [file = program, ...args] = command;
    this.process = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'], detached: true });
    this.tid = Tid(this.process.pid!);
    this.#lines = createInterface(this.process.stdout!)[Symbol.asyncIterator]();
  }

  async make(what: string): Promise<Tid[]> {
    this.process.stdin!.write(`${what}\n`);
    const { value } = await this.#lines.next();
    return String(value)
      .trim()
      .split(' ')
      .map((tid) => Tid(Number(tid)));
  }

  async makeOne(what: string): Promise<Tid> {
    const [tid] = await this.make(what);
    return tid!;
  }

  end(): void {
    process.kill(-this.process.pid!, 'SIGKILL');
  }
}

class Sink implements TaskSink {
  readonly spaces = new Map<Tid, object>();
  onExit: ((tid: Tid) => void) | undefined;

  hasAddressSpace(tid: Tid): boolean {
    return this.spaces.has(tid);
  }
  taskForked(parent: Tid, child: Tid, sharesMemory: boolean): void {
    this.spaces.set(child, sharesMemory ? this.spaces.get(parent)! : {});
  }
  taskExeced(tid: Tid): void {
    this.spaces.delete(tid);
  }
  taskExited(tid: Tid): void {
    this.spaces.delete(tid);
    this.onExit?.(tid);
  }
}

const MODES = [
  { name: 'with the connector', isConnected: true, refusal: connectorRefusal },
  { name: 'without the connector', isConnected: false, refusal: undefined },
];

for (const { name, isConnected, refusal } of MODES) {
  const missing = hasCompiler ? refusal : 'no C compiler (cc)';
  describe.skipIf(missing !== undefined)(`TaskTracker ${name}${missing ? `: ${missing}` : ''}`, () => {
    let reactor: Reactor;
    let port: SystemTasks;
    let connector: ProcessConnector | undefined;
    let sink: Sink;
    let tracker: TaskTracker;
    let maker: Maker;

    beforeEach(() => {
      reactor = new Reactor();
      port = new SystemTasks(reactor);
      const source = isConnected ? openProcessConnector() : undefined;
      connector = source instanceof ProcessConnector ? source : undefined;
      sink = new Sink();
      tracker = new TaskTracker(port, connector, sink);
      maker = new Maker();
    });

    afterEach(() => {
      maker.end();
      connector?.close();
      port.close();
    });

    async function register(): Promise<void> {
      // An answer means that it runs the program.
      await maker.make('hello');
      tracker.catchUp();
      expect(tracker.identify(maker.tid)).toMatchObject({ tid: maker.tid, pid: maker.tid });
      sink.spaces.set(maker.tid, {});
    }

    it('follows a fork, which has memory of its own', async () => {
      await register();
      const child = await maker.makeOne('fork');
      tracker.catchUp();
      expect([...sink.spaces.keys()]).toEqual([maker.tid, child]);
      expect(sink.spaces.get(child)).not.toBe(sink.spaces.get(maker.tid));
    });

    it('follows a thread and clone(CLONE_VM), which share the memory', async () => {
      await register();
      const thread = await maker.makeOne('thread');
      const clone = await maker.makeOne('clone');
      tracker.catchUp();
      expect(sink.spaces.get(thread)).toBe(sink.spaces.get(maker.tid));
      expect(sink.spaces.get(clone)).toBe(sink.spaces.get(maker.tid));
    });

    it('gives nothing to what was made before the registration', async () => {
      const child = await maker.makeOne('fork');
      const thread = await maker.makeOne('thread');
      await register();
      const later = await maker.makeOne('fork');
      tracker.catchUp();
      expect([...sink.spaces.keys()]).toEqual([maker.tid, later]);
      expect(sink.hasAddressSpace(child) || sink.hasAddressSpace(thread)).toBe(false);
    });

    it('follows an orphan whose parent came and went unseen', async () => {
      await register();
      const grandchild = await maker.makeOne('daemon');
      tracker.catchUp();
      expect(sink.hasAddressSpace(grandchild)).toBe(true);
    });

    it('gives nothing to a child that execs another program', async () => {
      await register();
      const child = await maker.makeOne('spawn');
      tracker.catchUp();
      expect(sink.hasAddressSpace(child)).toBe(false);
      expect(sink.hasAddressSpace(maker.tid)).toBe(true);
    });

    it('notices the exec of a thread, which takes the place of its process', async () => {
      await register();
      const thread = await maker.makeOne('thread');
      tracker.catchUp();
      expect(sink.spaces.size).toBe(2);
      await maker.make('exec');
      tracker.catchUp();
      expect(sink.spaces.size).toBe(0);
      expect(tracker.identify(thread)).toBeUndefined();
      expect(tracker.identify(maker.tid)).toMatchObject({ tid: maker.tid });
    });

    it('notices an exit at once when asked, and by itself when not', async () => {
      await register();
      const first = await maker.makeOne('fork');
      tracker.catchUp();
      expect(sink.hasAddressSpace(first)).toBe(true);
      await maker.make('kill');
      tracker.sweep();
      expect(sink.hasAddressSpace(first)).toBe(false);

      const second = await maker.makeOne('fork');
      tracker.catchUp();
      if (connector !== undefined) reactor.watch(connector.fd, () => tracker.catchUp());
      sink.onExit = (tid) => {
        if (tid === second) reactor.stop();
      };
      const running = reactor.run();
      await maker.make('kill');
      await running;
      expect(sink.hasAddressSpace(second)).toBe(false);
    });

    if (isConnected)
      it('finds the forks that the kernel had no room to tell of', async () => {
        const before = await maker.makeOne('fork');
        await register();
        const fd = connector?.fd ?? -1;
        const size = new Uint32Array([4096]);
        checked(libc().setsockopt(fd, 1, 8, size, size.byteLength), 'make the receive buffer small');
        const children = await maker.make('bomb 200');
        tracker.catchUp();
        for (const child of children) expect(sink.hasAddressSpace(child)).toBe(true);
        expect(sink.hasAddressSpace(before)).toBe(false);
      });

    it('follows 500 forks at once, and forgets them all', async () => {
      await register();
      const children = await maker.make('bomb 500');
      tracker.catchUp();
      expect(sink.spaces.size).toBe(501);
      for (const child of children) expect(sink.hasAddressSpace(child)).toBe(true);
      maker.end();
      await new Promise((resolve) => maker.process.once('exit', resolve));
      while (sink.spaces.size > 0) tracker.sweep();
      expect(tracker.knownCount).toBe(0);
      maker = new Maker();
    });

    it.skipIf(!hasSetarch)(
      'without randomization, follows a fork and an exec by events only, and invents nothing without',
      async () => {
        maker.end();
        maker = new Maker(['setarch', '--addr-no-randomize', program]);
        await register();
        const child = await maker.makeOne('fork');
        tracker.catchUp();
        expect([...sink.spaces.keys()]).toEqual(isConnected ? [maker.tid, child] : [maker.tid]);
        if (!isConnected) return;
        await maker.make('exec');
        tracker.catchUp();
        expect([...sink.spaces.keys()]).toEqual([child]);
      },
    );
  });
}

describe.skipIf(!hasCompiler)('verifyCaller()', () => {
  it('tells a task that is in the call from one that is not', async () => {
    const maker = new Maker();
    const waiting = await maker.makeOne('wait');
    // It tells its id just before it makes the call.
    while (verifyCaller(waiting, 0xc0de_4321, 0x5678n) !== 'verified') await new Promise(setImmediate);
    expect(verifyCaller(waiting, 0xc0de_4321, 0x5679n)).toBe('elsewhere');
    expect(verifyCaller(waiting, 0xc0de_4322, 0x5678n)).toBe('elsewhere');
    expect(verifyCaller(maker.tid, 0xc0de_4321, 0x5678n)).toBe('elsewhere');
    maker.end();
    await new Promise((resolve) => maker.process.once('exit', resolve));
    expect(verifyCaller(waiting, 0xc0de_4321, 0x5678n)).toBe('elsewhere');
  });
});

describe('perfmonCapable()', () => {
  it('is what CapEff says, for a task of our own user namespace', () => {
    const status = readTaskStatus(Tid(process.pid));
    const isCapable = typeof status !== 'string' && (status.effectiveCapabilities & 0x40_0020_0000n) !== 0n;
    expect(perfmonCapable(Tid(process.pid))).toBe(isCapable);
    expect(perfmonCapable(Tid(0x7fff_fff0))).toBe(false);
  });

  const canUnshare = spawnSync('unshare', ['--user', '--map-root-user', 'true']).status === 0;
  it.skipIf(!canUnshare)('is not what CapEff says in a user namespace below ours', async () => {
    const script = 'echo ready; read wait';
    const inside = spawn('unshare', ['--user', '--map-root-user', 'sh', '-c', script], { stdio: 'pipe' });
    await new Promise((resolve) => inside.stdout.once('data', resolve));
    const status = readTaskStatus(Tid(inside.pid!));
    expect(typeof status === 'string' ? 0n : status.effectiveCapabilities).not.toBe(0n);
    expect(perfmonCapable(Tid(inside.pid!))).toBe(false);
    inside.stdin.end();
  });
});

describe('readTaskStat(), readTaskStatus() and readTaskCommand()', () => {
  it('say who a task is', () => {
    const tid = Tid(process.pid);
    expect(readTaskStat(tid)).toMatchObject({
      parentPid: process.ppid,
      memory: { stack: expect.any(Number) },
    });
    expect(readTaskStatus(tid)).toMatchObject({ pid: process.pid, effectiveUid: process.geteuid?.() });
    expect(readTaskCommand(tid)).toMatchObject({ command: expect.any(String) });
  });

  it('say that a task is gone', () => {
    const nobody = Tid(0x7fff_fff0);
    expect(readTaskStat(nobody)).toBe('gone');
    expect(readTaskStatus(nobody)).toBe('gone');
    expect(readTaskCommand(nobody)).toBe('gone');
  });
});
