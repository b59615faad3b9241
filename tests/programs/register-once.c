/*
 * Registers one event and says what the server answered.
 *
 *   register-once ROOT FLAGS COMMAND...
 *
 * FLAGS is the number in user_reg.flags. Prints "index N", or the error's name: of open, or of the ioctl.
 */
#define _GNU_SOURCE
#include "user-events-abi.h"
#include <errno.h>

int main(int argc, char **argv)
{
	static uint32_t word;
	if (argc != 4) return fputs("usage: register-once ROOT FLAGS COMMAND\n", stderr), 2;
	struct user_reg request = {
		.size = sizeof request,
		.enable_size = sizeof word,
		.flags = atoi(argv[2]),
		.enable_addr = (uintptr_t)&word,
		.name_args = (uintptr_t)argv[3],
	};
	int file = open_user_events(argv[1]);
	if (file < 0) return printf("open %s\n", strerrorname_np(errno)), 1;
	if (ioctl(file, DIAG_IOCSREG, &request)) return printf("%s\n", strerrorname_np(errno)), 1;
	printf("index %u\n", request.write_index);
	return 0;
}
