/*
 * Runs generated code and tells what it left behind: loads segments of memory from standard input, calls a function in
 * them from several threads, checks each result, and writes how long that took and a segment to standard output.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define TEXT "a text in the program"

struct segment {
	uint64_t address;
	uint64_t size;   /* mapped, a multiple of the page */
	uint64_t loaded; /* bytes that follow */
};

struct plan {
	uint64_t segments;
	uint64_t function;
	uint64_t threads;
	uint64_t calls;
	uint64_t dump_address;
	uint64_t dump_size;
};

static struct plan plan;
static uint64_t broken;
static pthread_barrier_t barrier;

static void *work(void *unused)
{
	uint64_t (*function)(uint64_t, uint64_t, const char *) = (void *)(uintptr_t)plan.function;
	char text[32];

	(void)unused;
	strcpy(text, TEXT);
	pthread_barrier_wait(&barrier);
	for (uint64_t i = 0; i < plan.calls; i++)
		if (function(i, i * 3, i & 1 ? TEXT : text) != i + i * 3 + 7)
			__atomic_fetch_add(&broken, 1, __ATOMIC_RELAXED);
	return NULL;
}

static int get(void *to, size_t size)
{
	return fread(to, 1, size, stdin) == size;
}

static uint64_t now(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

int main(void)
{
	pthread_t threads[64];
	uint64_t started, result[2];

	if (!get(&plan, sizeof(plan)) || plan.threads > 64)
		return 1;
	for (uint64_t i = 0; i < plan.segments; i++) {
		struct segment segment;
		void *at;

		if (!get(&segment, sizeof(segment)))
			return 1;
		at = mmap((void *)segment.address, segment.size, PROT_READ | PROT_WRITE | PROT_EXEC,
			  MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_POPULATE, -1, 0);
		if (at != (void *)segment.address || !get(at, segment.loaded))
			return 1;
	}
	pthread_barrier_init(&barrier, NULL, (unsigned)plan.threads + 1);
	for (uint64_t i = 0; i < plan.threads; i++)
		pthread_create(&threads[i], NULL, work, NULL);
	started = now();
	pthread_barrier_wait(&barrier);
	for (uint64_t i = 0; i < plan.threads; i++)
		pthread_join(threads[i], NULL);
	result[0] = now() - started;
	result[1] = broken;
	fwrite(result, sizeof(result), 1, stdout);
	fwrite((void *)plan.dump_address, 1, plan.dump_size, stdout);
	return 0;
}
