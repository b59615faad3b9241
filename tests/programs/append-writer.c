/*
 * Writes events through a descriptor that was opened with O_APPEND, as a shell's >> does.
 *
 *   append-writer ROOT COUNT
 *
 * The event is "appended u32 number; __rel_loc char[] body", whose bodies are of 0 to 3900 bytes, all of one letter.
 * Waits until it is enabled. Prints "ready", then "wrote COUNT".
 */
#include "user-events-abi.h"
#include <unistd.h>

enum { BIT = 31, POLL_US = 1000, BODY_STEP = 1300, BODY_MAX = 3900 };

int main(int argc, char **argv)
{
	static uint32_t word;
	static char bytes[12 + BODY_MAX + 1];
	char path[512];
	if (argc != 3) return fputs("usage: append-writer ROOT COUNT\n", stderr), 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	snprintf(path, sizeof path, "%s/user_events_data", argv[1]);
	int file = open(path, O_RDWR | O_CLOEXEC | O_APPEND);
	if (file < 0) fail("open user_events_data");
	int index = register_event(file, &word, BIT, "appended u32 number; __rel_loc char[] body");
	if (index < 0) fail("register");
	puts("ready");
	while (!is_enabled(&word, BIT)) usleep(POLL_US);
	int count = atoi(argv[2]);
	for (int number = 0; number < count; number++) {
		uint32_t length = number * BODY_STEP % (BODY_MAX + BODY_STEP) + 1;
		uint32_t head[3] = { (uint32_t)index, (uint32_t)number, length << 16 };
		memcpy(bytes, head, sizeof head);
		memset(bytes + sizeof head, 'a' + number % 26, length - 1);
		bytes[sizeof head + length - 1] = 0;
		ssize_t size = sizeof head + length;
		if (write(file, bytes, size) != size) fail("write");
	}
	printf("wrote %d\n", count);
	return 0;
}
