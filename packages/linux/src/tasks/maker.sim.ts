/** A program for the tests of task tracking, which makes tasks in every way there is. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Tid } from '@usertrace/base';

/** Whether the program can be had here. */
export const hasCompiler: boolean = spawnSync('cc', ['--version']).status === 0;

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

static void *stay_busy(void *unused)
{
	int32_t tid = syscall(SYS_gettid);
	(void)unused;
	if (write(answer[1], &tid, 4)) for (;;) __asm__ volatile("" ::: "memory");
	return NULL;
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
		else if (!strcmp(line, "busy\n")) pid = start_thread(stay_busy, NULL);
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

/** Compiles the program; what is compiled is removed by `removeProgram`. */
export function compileProgram(): void {
  folder = mkdtempSync(join(tmpdir(), 'usertrace-tasks-'));
  program = join(folder, 'maker');
  writeFileSync(`${program}.c`, PROGRAM);
  execFileSync('cc', ['-O1', '-pthread', '-o', program, `${program}.c`]);
}

export function removeProgram(): void {
  if (folder !== '') rmSync(folder, { recursive: true });
}

/** The program, run. */
export class Maker {
  readonly process: ChildProcess;
  readonly tid: Tid;
  readonly #lines: AsyncIterator<string>;

  /** @param prefix the command that is to start it, if any */
  constructor(...prefix: readonly string[]) {
    // In a group of its own, so that it can end its children with itself.
    const [file = program, ...args] = prefix.length === 0 ? [] : [...prefix, program];
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
