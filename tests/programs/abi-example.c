/*
 * An ordinary user of the raw user_events ABI, as in the kernel's documentation: it opens
 * /sys/kernel/tracing/user_events_data, registers two events, and writes each one while somebody listens.
 *
 *   abi-example [EVENTS [SECONDS [TRACEFS_ROOT]]]
 *
 * Waits at most SECONDS (5) for both events to be enabled, writes EVENTS (10) of each, unregisters, and
 * exits 0. Exits 1 when a call fails, 3 when nobody listened in time.
 */
#include "user-events-abi.h"
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { ENABLE_BIT = 31, POLL_US = 1000 };

static uint32_t count_enabled, message_enabled;

static double seconds_now(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

static void write_count(int file, int32_t index, uint32_t count)
{
	struct iovec parts[] = { { &index, sizeof index }, { &count, sizeof count } };
	if (writev(file, parts, 2) != sizeof index + sizeof count) fail("writev example_count");
}

/* A __rel_loc word holds the length in its upper half, and the distance from its own end in the lower. */
static void write_message(int file, int32_t index, uint32_t count)
{
	char text[64];
	uint32_t length = snprintf(text, sizeof text, "message number %u", count) + 1;
	uint32_t location = length << 16;
	struct iovec parts[] = {
		{ &index, sizeof index }, { &count, sizeof count }, { &location, sizeof location }, { text, length },
	};
	ssize_t expected = sizeof index + sizeof count + sizeof location + length;
	if (writev(file, parts, 4) != expected) fail("writev example_message");
}

int main(int argc, char **argv)
{
	uint32_t events = argc > 1 ? atoi(argv[1]) : 10;
	double deadline = seconds_now() + (argc > 2 ? atof(argv[2]) : 5);
	int file = open_user_events(argc > 3 ? argv[3] : "/sys/kernel/tracing");
	if (file < 0) fail("open user_events_data");

	int count_index = register_event(file, &count_enabled, ENABLE_BIT, "example_count u32 count");
	if (count_index < 0) fail("register example_count");
	int message_index = register_event(file, &message_enabled, ENABLE_BIT,
					   "example_message u32 count; __rel_loc char[] text");
	if (message_index < 0) fail("register example_message");

	uint32_t counts = 0, messages = 0;
	while (counts < events || messages < events) {
		if (seconds_now() > deadline) {
			fprintf(stderr, "abi-example: nobody listened (%u counts, %u messages)\n", counts, messages);
			return 3;
		}
		if (counts < events && is_enabled(&count_enabled, ENABLE_BIT)) write_count(file, count_index, counts++);
		if (messages < events && is_enabled(&message_enabled, ENABLE_BIT))
			write_message(file, message_index, messages++);
		if (counts == 0 || messages == 0) usleep(POLL_US);
	}

	if (unregister_event(file, &count_enabled, ENABLE_BIT)) fail("unregister example_count");
	if (unregister_event(file, &message_enabled, ENABLE_BIT)) fail("unregister example_message");
	if (count_enabled || message_enabled) return fprintf(stderr, "abi-example: a bit stayed set\n"), 1;
	close(file);
	printf("abi-example: wrote %u counts and %u messages\n", counts, messages);
	return 0;
}
