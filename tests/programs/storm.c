/*
 * A program that never stops calling, to be killed or to have its server killed.
 *
 *   storm ROOT write|ioctl EVENT
 *
 * `write` writes EVENT ("EVENT u32 value") as fast as it can once enabled; `ioctl` registers and unregisters it.
 * Prints "ready PID" when the first call went well, and on the first failing call "stopped ERRNO" and exits 4.
 */
#define _GNU_SOURCE
#include "user-events-abi.h"
#include <errno.h>
#include <unistd.h>

enum { BIT = 31, POLL_US = 1000, STOPPED = 4 };

static uint32_t word;

static int stopped(void)
{
	printf("stopped %s\n", strerrorname_np(errno));
	return STOPPED;
}

int main(int argc, char **argv)
{
	if (argc != 4) return fputs("usage: storm ROOT write|ioctl EVENT\n", stderr), 2;
	char command[256];
	int is_ready = 0, file = open_user_events(argv[1]);
	setvbuf(stdout, NULL, _IOLBF, 0);
	snprintf(command, sizeof command, "%s u32 value", argv[3]);
	if (file < 0) fail("open user_events_data");
	int index = register_event(file, &word, BIT, command);
	if (index < 0) fail("register");
	int does_write = !strcmp(argv[2], "write");
	if (does_write) while (!is_enabled(&word, BIT)) usleep(POLL_US);
	else unregister_event(file, &word, BIT);

	for (uint32_t event[2] = { (uint32_t)index, 0 };; event[1]++) {
		if (does_write) {
			if (write(file, event, sizeof event) != sizeof event) return stopped();
		} else {
			if (register_event(file, &word, BIT, command) < 0) return stopped();
			if (unregister_event(file, &word, BIT)) return stopped();
		}
		if (!is_ready) is_ready = printf("ready %d\n", getpid());
	}
}
