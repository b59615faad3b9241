/*
 * One process that holds many registrations, to measure what each costs the server.
 *
 *   many-events ROOT events|enablers COUNT
 *
 * `events`: COUNT different events, each with a word; `enablers`: one event with COUNT words. Prints
 * "ready N" with the number that were registered (fewer when the server refused one), and ends with its input.
 */
#include "user-events-abi.h"
#include <errno.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (argc != 4) return fputs("usage: many-events ROOT events|enablers COUNT\n", stderr), 2;
	int does_differ = !strcmp(argv[2], "events"), count = atoi(argv[3]), registered = 0;
	uint32_t *words = calloc(count, sizeof *words);
	char command[64], byte;
	int file = open_user_events(argv[1]);
	if (file < 0) fail("open user_events_data");
	for (; registered < count; registered++) {
		snprintf(command, sizeof command, "many_%d u64 address; u32 length", does_differ ? registered : 0);
		if (register_event(file, &words[registered], 0, command) >= 0) continue;
		fprintf(stderr, "register %d: %s\n", registered, strerror(errno));
		break;
	}
	printf("ready %d\n", registered);
	fflush(stdout);
	while (read(0, &byte, 1) > 0) {}
	return 0;
}
