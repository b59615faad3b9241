/*
 * Registers one event and holds it, with a word in the state that a test asks for.
 *
 *   word-holder ROOT KIND EVENT
 *
 * KIND: plain, unmapped (the word's page is unmapped after registering), readonly (write-protected),
 *       userfault (the page is missing and a userfaultfd that nobody serves holds its faults).
 * Prints "ready PID". A plain one prints "set NS" and "clear NS" (CLOCK_MONOTONIC) as its bit changes.
 * Ends when standard input does. Exit 77: this machine allows no userfaultfd.
 */
#define _GNU_SOURCE
#include "user-events-abi.h"
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, WATCH_MS = 1, SKIPPED = 77, BIT = 31 };

static uint32_t *page_of_its_own(void)
{
	void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED) fail("mmap");
	return page;
}

static void hold_faults(void *page)
{
	int faults = syscall(SYS_userfaultfd, O_CLOEXEC);
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = {
		.range = { (uintptr_t)page, PAGE },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	if (faults < 0 || ioctl(faults, UFFDIO_API, &api) || ioctl(faults, UFFDIO_REGISTER, &range)) {
		perror("userfaultfd");
		exit(SKIPPED);
	}
}

static void say(const char *what)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	printf("%s %lld\n", what, now.tv_sec * 1000000000LL + now.tv_nsec);
}

int main(int argc, char **argv)
{
	if (argc != 4) return fputs("usage: word-holder ROOT KIND EVENT\n", stderr), 2;
	const char *kind = argv[2];
	uint32_t *word = page_of_its_own();
	int plain = !strcmp(kind, "plain");

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!strcmp(kind, "userfault")) hold_faults(word);
	else *word = 0;
	int file = open_user_events(argv[1]);
	if (file < 0) fail("open user_events_data");
	if (register_event(file, word, BIT, argv[3]) < 0) fail("register");
	if (!strcmp(kind, "unmapped") && munmap(word, PAGE)) fail("munmap");
	if (!strcmp(kind, "readonly") && mprotect(word, PAGE, PROT_READ)) fail("mprotect");
	printf("ready %d\n", getpid());

	struct pollfd input = { .fd = 0, .events = POLLIN };
	char byte;
	for (int was = 0;;) {
		if (plain && is_enabled(word, BIT) != was) say((was = !was) ? "set" : "clear");
		if (poll(&input, 1, plain ? WATCH_MS : -1) > 0 && read(0, &byte, 1) <= 0) return 0;
	}
}
