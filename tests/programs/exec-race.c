/*
 * A process whose children exec at once, while it is being switched: what the server does for a child must never
 * reach the image that the child has become.
 *
 *   exec-race ROOT EVENT CHILDREN
 *
 * Registers EVENT, prints "ready", and makes CHILDREN children, a few at a time. Each executes this program anew; the
 * word is at the same address then (the program is not relocatable), and nobody has registered it. Prints
 * "touched N of M": the children in which a bit of it was set nevertheless.
 */
#define _GNU_SOURCE
#include "user-events-abi.h"
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BIT = 31, AT_ONCE = 4, TOUCHED = 42, WATCH_NS = 4000000 };

static uint32_t word __attribute__((aligned(4096)));

static long long now(void)
{
	struct timespec instant;
	clock_gettime(CLOCK_MONOTONIC, &instant);
	return instant.tv_sec * 1000000000LL + instant.tv_nsec;
}

/* Looks at its word for as long as a store may be on its way. */
static int watch(const char *address)
{
	long long end = now() + WATCH_NS;
	if (strtoull(address, NULL, 16) != (uintptr_t)&word) return fputs("the word has moved\n", stderr), 2;
	while (now() < end) {
		if (__atomic_load_n(&word, __ATOMIC_ACQUIRE)) return TOUCHED;
		usleep(200);
	}
	return 0;
}

int main(int argc, char **argv)
{
	char address[32];
	int status, running = 0, touched = 0, failed = 0;

	if (argc == 3 && !strcmp(argv[1], "watch")) return watch(argv[2]);
	if (argc != 4) return fputs("usage: exec-race ROOT EVENT CHILDREN\n", stderr), 2;
	int count = atoi(argv[3]);
	setvbuf(stdout, NULL, _IOLBF, 0);
	snprintf(address, sizeof address, "%lx", (unsigned long)&word);
	int file = open_user_events(argv[1]);
	if (file < 0) fail("open user_events_data");
	if (register_event(file, &word, BIT, argv[2]) < 0) fail("register");
	printf("ready\n");

	for (int made = 0; made < count || running > 0;) {
		if (made < count && running < AT_ONCE) {
			pid_t child = fork();
			if (child < 0) fail("fork");
			if (child == 0) {
				prctl(PR_SET_PDEATHSIG, SIGKILL);
				execl("/proc/self/exe", argv[0], "watch", address, NULL);
				_exit(127);
			}
			made++;
			running++;
			continue;
		}
		if (wait(&status) < 0) fail("wait");
		running--;
		if (WIFEXITED(status) && WEXITSTATUS(status) == TOUCHED) touched++;
		else if (status != 0) failed++;
	}
	if (failed > 0) return fprintf(stderr, "%d children failed\n", failed), 1;
	printf("touched %d of %d\n", touched, count);
	return 0;
}
