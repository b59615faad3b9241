/*
 * Writes events out of pages that are not in memory yet, as those of a string constant which nobody has read.
 *
 *   absent-pages ROOT
 *
 * The event is "absent u32 number; __rel_loc char[] body". Its parts come in turn out of an untouched page: the number,
 * the body, what follows the first bytes of one buffer, and what follows half of the index. Prints what each write
 * answered: a size, or the error's name.
 */
#define _GNU_SOURCE
#include "user-events-abi.h"
#include <errno.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

enum { BIT = 31, POLL_US = 1000, PAGE = 4096 };

static char *untouched(void)
{
	return mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void answered(ssize_t size)
{
	if (size < 0) puts(strerrorname_np(errno));
	else printf("%zd\n", size);
}

/* One buffer that lies across two pages, of which the second is untouched: zeroes. */
static void write_across(int file, const void *bytes, size_t touched, size_t size)
{
	char *start = untouched() + PAGE - touched;
	memcpy(start, bytes, touched);
	answered(write(file, start, size));
}

int main(int argc, char **argv)
{
	static uint32_t word;
	if (argc != 2) return fputs("usage: absent-pages ROOT\n", stderr), 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	int file = open_user_events(argv[1]);
	if (file < 0) fail("open user_events_data");
	int index = register_event(file, &word, BIT, "absent u32 number; __rel_loc char[] body");
	if (index < 0) fail("register");
	puts("ready");
	while (!is_enabled(&word, BIT)) usleep(POLL_US);
	uint32_t number = 1, location = 4u << 16;
	struct iovec first[] = { { &index, 4 }, { untouched(), 4 }, { &location, 4 }, { "one", 4 } };
	answered(writev(file, first, 4));
	struct iovec second[] = { { &index, 4 }, { &number, 4 }, { &location, 4 }, { untouched(), 4 } };
	answered(writev(file, second, 4));
	uint32_t head[3] = { (uint32_t)index, 2, location };
	write_across(file, head, sizeof head, sizeof head + 4);
	write_across(file, head, 2, sizeof head);
	/* What is too short stays so. */
	write_across(file, head, 2, 8);
	puts("done");
	return 0;
}
