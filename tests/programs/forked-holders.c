/*
 * A process that registers one event, and its forked children, which inherit the registration.
 *
 *   forked-holders ROOT EVENT CHILDREN
 *
 * Prints "ready CHILDREN". For each line on standard input it asks every process of the group whether its own
 * copy of the word has the bit set, and prints "set N of M". Ends, with all children, when the input ends.
 */
#define _GNU_SOURCE
#include "user-events-abi.h"
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BIT = 31, MAX_CHILDREN = 4096, POLL_US = 500 };

static uint32_t word __attribute__((aligned(4096)));
static struct { int answered, set; } *tally; /* shared by the whole group */
static pid_t children[MAX_CHILDREN];

static void answer_question(int signal_number)
{
	(void)signal_number;
	if (is_enabled(&word, BIT)) __atomic_add_fetch(&tally->set, 1, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&tally->answered, 1, __ATOMIC_SEQ_CST);
}

int main(int argc, char **argv)
{
	if (argc != 4) return fputs("usage: forked-holders ROOT EVENT CHILDREN\n", stderr), 2;
	int count = atoi(argv[3]);
	if (count < 0 || count > MAX_CHILDREN) return fputs("too many children\n", stderr), 2;

	setvbuf(stdout, NULL, _IOLBF, 0);
	tally = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int file = open_user_events(argv[1]);
	if (file < 0) fail("open user_events_data");
	if (register_event(file, &word, BIT, argv[2]) < 0) fail("register");
	signal(SIGUSR1, answer_question);
	for (int i = 0; i < count; i++) {
		children[i] = fork();
		if (children[i] < 0) fail("fork");
		if (children[i] > 0) continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;) pause();
	}
	printf("ready %d\n", count);

	for (char line[64]; fgets(line, sizeof line, stdin);) {
		tally->answered = tally->set = 0;
		for (int i = 0; i < count; i++) kill(children[i], SIGUSR1);
		answer_question(SIGUSR1);
		while (__atomic_load_n(&tally->answered, __ATOMIC_SEQ_CST) < count + 1) usleep(POLL_US);
		printf("set %d of %d\n", tally->set, count + 1);
	}
	for (int i = 0; i < count; i++) kill(children[i], SIGKILL);
	while (wait(NULL) > 0) {}
	return 0;
}
