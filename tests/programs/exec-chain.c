/*
 * Executes itself again and again with a user_events_data open that exec closes.
 *
 *   exec-chain ROOT COUNT
 *
 * Prints "done" in the end. With a COUNT of -1 it registers, prints "registers" and executes cat(1).
 */
#include "user-events-abi.h"
#include <unistd.h>

enum { BIT = 31 };

int main(int argc, char **argv)
{
	static uint32_t word;
	char left[16];
	if (argc != 3) return fputs("usage: exec-chain ROOT COUNT\n", stderr), 2;
	int count = atoi(argv[2]);
	if (count == 0) return puts("done"), 0;
	int file = open_user_events(argv[1]);
	if (file < 0) fail("open user_events_data");
	if (register_event(file, &word, BIT, "exec_chain") < 0) fail("register");
	if (count < 0) {
		puts("registers");
		fflush(stdout);
		execlp("cat", "cat", (char *)NULL);
	}
	snprintf(left, sizeof left, "%d", count - 1);
	execl("/proc/self/exe", argv[0], argv[1], left, (char *)NULL);
	fail("exec");
}
