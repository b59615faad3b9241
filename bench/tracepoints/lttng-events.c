/*
 * Emits the events of contender.ts through LTTng-UST, and prints the nanoseconds of one as a JSON array, a round each.
 *
 *   lttng-events text|numbers
 *
 * Needs a session that has the events on. Exit 3 when it has not within some seconds.
 */
#define LTTNG_UST_TRACEPOINT_CREATE_PROBES
#define LTTNG_UST_TRACEPOINT_DEFINE
#include "lttng-events.h"
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 5, WARM_ROUNDS = 3, EVENTS = 2000000, WAIT_MS = 5000, NOT_ENABLED = 3 };

static const char *const texts[] = { "abcdefghijklmno", "ABCDEFGHIJKLMNO", "zyxwvutsrqponml" };

static int64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void emit_text(void)
{
	for (int i = 0; i < EVENTS; i++)
		lttng_ust_tracepoint(usertrace_bench, text, i, i + 1, texts[i % 3]);
}

static void emit_numbers(void)
{
	for (int i = 0; i < EVENTS; i++)
		lttng_ust_tracepoint(usertrace_bench, numbers, (uint64_t)i * 1000, i, i / 2.0);
}

static int are_enabled(void)
{
	return lttng_ust_tracepoint_enabled(usertrace_bench, text) && lttng_ust_tracepoint_enabled(usertrace_bench, numbers);
}

int main(int argc, char **argv)
{
	if (argc != 2) return fputs("usage: lttng-events text|numbers\n", stderr), 2;
	void (*emit)(void) = strcmp(argv[1], "text") ? emit_numbers : emit_text;
	for (int waited_ms = 0; !are_enabled(); waited_ms++) {
		if (waited_ms == WAIT_MS) return fputs("no session has the events on\n", stderr), NOT_ENABLED;
		usleep(1000);
	}
	for (int round = 0; round < WARM_ROUNDS; round++) emit();
	printf("[");
	for (int round = 0; round < ROUNDS; round++) {
		int64_t started = now_ns();
		emit();
		printf("%s%.3f", round ? "," : "", (double)(now_ns() - started) / EVENTS);
	}
	puts("]");
	return 0;
}
