/*
 * Many processes that register at the same moment and exit at once, without unregistering or closing.
 *
 *   stampede ROOT PROCESSES
 *
 * Every process registers an event of its own and one that all share. Prints "registered N of M"; exits 0 when
 * every process did.
 */
#include "user-events-abi.h"
#include <sys/wait.h>
#include <unistd.h>

static uint32_t own_word, shared_word;

static int child(const char *root, int number, int start)
{
	char command[64], byte;
	if (read(start, &byte, 1) < 0) return 1; /* ends for all at once, when the parent closes its side */
	int file = open_user_events(root);
	if (file < 0) return perror("open"), 1;
	snprintf(command, sizeof command, "stampede_%d u32 value", number);
	if (register_event(file, &own_word, 0, command) < 0) return perror(command), 1;
	if (register_event(file, &shared_word, 0, "stampede_shared u32 value") < 0) return perror("shared"), 1;
	return 0;
}

int main(int argc, char **argv)
{
	int gate[2], count = argc == 3 ? atoi(argv[2]) : 0, registered = 0, status;
	if (count < 1) return fputs("usage: stampede ROOT PROCESSES\n", stderr), 2;
	if (pipe(gate)) fail("pipe");
	for (int i = 0; i < count; i++) {
		pid_t pid = fork();
		if (pid < 0) fail("fork");
		if (pid == 0) {
			close(gate[1]);
			_exit(child(argv[1], i, gate[0]));
		}
	}
	close(gate[0]);
	close(gate[1]);
	while (wait(&status) > 0) registered += WIFEXITED(status) && WEXITSTATUS(status) == 0;
	printf("registered %d of %d\n", registered, count);
	return registered == count ? 0 : 1;
}
