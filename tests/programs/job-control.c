/*
 * A program that registers an event and, as editors do, handles the stop of its terminal: it does something first and stops then.
 *
 *   job-control ROOT
 *
 * Prints "ready PID", "stops" at each SIGTSTP, "goes on" when it has been continued after that, and "line TEXT" for each line on
 * standard input. Ends with 7 at the end of input or at a line "end".
 */
#include "user-events-abi.h"
#include <signal.h>
#include <unistd.h>

static void say(const char *text)
{
	if (write(STDOUT_FILENO, text, strlen(text)) < 0) _exit(1);
}

static void stop(int signal_number)
{
	(void)signal_number;
	say("stops\n");
	raise(SIGSTOP);
	say("goes on\n");
}

int main(int argc, char **argv)
{
	static uint32_t word;
	char line[64], answer[80];
	if (argc != 2) return fputs("usage: job-control ROOT\n", stderr), 2;
	int file = open_user_events(argv[1]);
	if (file < 0) fail("open user_events_data");
	if (register_event(file, &word, 31, "job_control") < 0) fail("register");
	struct sigaction action = {.sa_handler = stop, .sa_flags = SA_RESTART};
	sigaction(SIGTSTP, &action, NULL);
	snprintf(answer, sizeof answer, "ready %d\n", getpid());
	say(answer);
	while (fgets(line, sizeof line, stdin) && strcmp(line, "end\n")) {
		snprintf(answer, sizeof answer, "line %s", line);
		say(answer);
	}
	return 7;
}
