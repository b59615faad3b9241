/*
 * Threads and processes that write numbered events at once, so that a reader can tell whether each is whole.
 *
 *   sequence-writers ROOT PROCESSES THREADS EVENTS
 *
 * Each thread opens its own file, registers "sequence u32 writer; u32 number; u32 sum; __rel_loc char[] body",
 * waits until it is enabled, and writes EVENTS of it: `body` is a run of one letter whose length and letter follow
 * from writer and number, `sum` is its length times the letter. Every seventh goes through writev in many parts, and
 * every hundredth is longer than half a page. Prints "wrote N"; exits 1 when a write was refused or cut short.
 */
#define _GNU_SOURCE
#include "user-events-abi.h"
#include <errno.h>
#include <pthread.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BIT = 31, MAX_BODY = 3000, MAX_THREADS = 64, POLL_US = 1000, HEAD = 20 };

static const char *root;
static int events, first_writer;

static uint32_t body_length(uint32_t writer, uint32_t number)
{
	if (number % 100 == 99) return 2100 + writer % 800;
	return 1 + (writer * 31 + number * 7) % 180;
}

static void write_one(int file, int32_t index, uint32_t writer, uint32_t number)
{
	char event[HEAD + MAX_BODY + 1];
	uint32_t length = body_length(writer, number);
	char letter = 'a' + (writer + number) % 26;
	uint32_t words[5] = { (uint32_t)index, writer, number, length * (uint32_t)letter, (length + 1) << 16 };
	memcpy(event, words, HEAD);
	memset(event + HEAD, letter, length);
	event[HEAD + length] = 0;

	ssize_t size = HEAD + length + 1, wrote;
	if (number % 7 == 0) {
		struct iovec parts[] = {
			{ event, 4 }, { event + 4, 4 }, { event + 8, 12 }, { event + HEAD, length / 2 },
			{ event + HEAD + length / 2, length + 1 - length / 2 },
		};
		wrote = writev(file, parts, 5);
	} else {
		wrote = write(file, event, size);
	}
	if (wrote != size) {
		fprintf(stderr, "writer %u event %u: wrote %zd of %zd: %s\n", writer, number, wrote, size, strerror(errno));
		exit(1);
	}
}

static void *run_writer(void *argument)
{
	uint32_t writer = (uintptr_t)argument, word = 0;
	int file = open_user_events(root);
	if (file < 0) fail("open user_events_data");
	int index = register_event(file, &word, BIT,
				   "sequence u32 writer; u32 number; u32 sum; __rel_loc char[] body");
	if (index < 0) fail("register");
	while (!is_enabled(&word, BIT)) usleep(POLL_US);
	for (int number = 0; number < events; number++) write_one(file, index, writer, number);
	if (unregister_event(file, &word, BIT)) fail("unregister");
	close(file);
	return NULL;
}

int main(int argc, char **argv)
{
	if (argc != 5) return fputs("usage: sequence-writers ROOT PROCESSES THREADS EVENTS\n", stderr), 2;
	int processes = atoi(argv[2]), threads = atoi(argv[3]), failures = 0, status;
	pthread_t running[MAX_THREADS];
	if (threads < 1 || threads > MAX_THREADS) return fputs("too many threads\n", stderr), 2;
	root = argv[1];
	events = atoi(argv[4]);
	for (int p = 0; p < processes; p++) {
		pid_t pid = fork();
		if (pid < 0) fail("fork");
		if (pid > 0) continue;
		first_writer = p * threads;
		for (int t = 0; t < threads; t++)
			if (pthread_create(&running[t], NULL, run_writer, (void *)(uintptr_t)(first_writer + t))) fail("thread");
		for (int t = 0; t < threads; t++) pthread_join(running[t], NULL);
		exit(0);
	}
	while (wait(&status) > 0) failures += !(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	printf("wrote %d\n", (processes * threads) * events);
	return failures ? 1 : 0;
}
