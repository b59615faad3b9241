/*
 * Calls functions that are probed, and says how long a call took.
 *
 *   target
 *
 * A line "FUNCTION THREADS CALLS" on standard input is a burst: so many threads call the function so often, all at the same time. It
 * prints the nanoseconds of a call, the mean of the threads.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { THREADS_MAX = 16 };

typedef long (*probed)(long, long, long, long, const char *);

/* Takes a jump, at its beginning and at its end. */
__attribute__((noinline, noclone, used, aligned(64))) long probed_long(long a, long b, long c, long d, const char *text)
{
	long sum = a + b + c + d;
	__asm__ volatile("" : "+r"(sum) : "r"(text));
	return sum;
}

/* Takes none: it is shorter than one, and another function begins behind it. */
long probed_short(long a, long b, long c, long d, const char *text);
__asm__(".text\n"
	".globl probed_short\n"
	".type probed_short, @function\n"
	".p2align 6\n"
	"probed_short: mov %rdi, %rax\n"
	"ret\n"
	".size probed_short, .-probed_short\n"
	".globl probed_behind\n"
	".type probed_behind, @function\n"
	"probed_behind: ret\n"
	".size probed_behind, .-probed_behind\n");

static const char text[] = "a text in the program";
static volatile long sink;
static pthread_barrier_t start;
static probed function;
static long calls;
static double took_ns[THREADS_MAX];

static int64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void *run(void *argument)
{
	long sum = 0;
	pthread_barrier_wait(&start);
	int64_t since = now_ns();
	for (long i = 0; i < calls; i++) sum += function(i, 1, 2, 3, text);
	*(double *)argument = (double)(now_ns() - since) / (double)calls;
	sink = sum;
	return NULL;
}

int main(void)
{
	char name[32];
	int threads;
	while (scanf("%31s %d %ld", name, &threads, &calls) == 3) {
		pthread_t ids[THREADS_MAX];
		double sum = 0;
		if (threads < 1 || threads > THREADS_MAX || calls < 1) return 2;
		function = strcmp(name, "probed_short") == 0 ? probed_short : probed_long;
		pthread_barrier_init(&start, NULL, (unsigned)threads);
		for (int i = 0; i < threads; i++)
			if (pthread_create(&ids[i], NULL, run, &took_ns[i]) != 0) return 3;
		for (int i = 0; i < threads; i++) pthread_join(ids[i], NULL);
		pthread_barrier_destroy(&start);
		for (int i = 0; i < threads; i++) sum += took_ns[i];
		printf("%.3f\n", sum / threads);
		fflush(stdout);
	}
	return 0;
}
