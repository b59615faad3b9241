/*
 * Writes 16-byte events through write(2) for a while and says how many went through.
 *
 *   writer ROOT THREADS MILLISECONDS [bare]
 *
 * Each thread opens its own file. Without `bare` it registers "bench u64 address; u32 length" there and waits until
 * that is enabled; with it the index is 0. Prints "EVENTS NANOSECONDS".
 */
#define _GNU_SOURCE
#include "../tests/programs/user-events-abi.h"
#include <errno.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

enum { MAX_THREADS = 16, BIT = 31, POLL_US = 1000, CLOCK_EVERY = 64 };

static const char *root;
static int is_bare;
static int64_t duration_ns;
static pthread_barrier_t start;
static uint64_t written[MAX_THREADS];

static int64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void *run(void *argument)
{
	struct { int32_t index; uint64_t address; uint32_t length; } __attribute__((packed)) event = { .length = 64 };
	uint32_t word = 0;
	uint64_t count = 0;
	int file = open_user_events(root);
	if (file < 0) fail("open user_events_data");
	if (!is_bare) {
		event.index = register_event(file, &word, BIT, "bench u64 address; u32 length");
		if (event.index < 0) fail("register");
		while (!is_enabled(&word, BIT)) usleep(POLL_US);
	}
	pthread_barrier_wait(&start);
	for (int64_t end = now_ns() + duration_ns; count % CLOCK_EVERY || now_ns() < end; count++) {
		event.address = count;
		if (write(file, &event, sizeof event) != sizeof event) fail("write");
	}
	written[(uintptr_t)argument] = count;
	close(file);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[MAX_THREADS];
	if (argc < 4) return fputs("usage: writer ROOT THREADS MILLISECONDS [bare]\n", stderr), 2;
	int count = atoi(argv[2]);
	if (count < 1 || count > MAX_THREADS) return fputs("too many threads\n", stderr), 2;
	root = argv[1];
	duration_ns = atoll(argv[3]) * 1000000;
	is_bare = argc > 4;
	pthread_barrier_init(&start, NULL, count + 1);
	for (int i = 0; i < count; i++)
		if (pthread_create(&threads[i], NULL, run, (void *)(uintptr_t)i)) fail("pthread_create");
	pthread_barrier_wait(&start);
	int64_t begin = now_ns();
	uint64_t total = 0;
	for (int i = 0; i < count; i++) {
		pthread_join(threads[i], NULL);
		total += written[i];
	}
	printf("%llu %lld\n", (unsigned long long)total, (long long)(now_ns() - begin));
	return 0;
}
