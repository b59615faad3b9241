/*
 * A program whose calls hang because of its own memory: a page that a userfaultfd holds back which nobody serves.
 *
 *   stuck-caller write FILE       writes that page to the file
 *   stuck-caller register ROOT    registers an event again and again, whose user_reg lies there
 *
 * Prints "calling" before its first call, and "ended ERRNO" if that ends. Exit 77: this machine allows no userfaultfd.
 */
#define _GNU_SOURCE
#include "user-events-abi.h"
#include <errno.h>
#include <linux/userfaultfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAGE = 4096, SKIPPED = 77 };

/* The size of a user_reg, which the kernel reads itself, is the only part that is there: the rest is on the next page. */
static char *page_that_hangs(void)
{
	char *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int faults = syscall(SYS_userfaultfd, O_CLOEXEC);
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = {
		.range = { (uintptr_t)pages + PAGE, PAGE },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	if (pages == MAP_FAILED) fail("mmap");
	if (faults < 0 || ioctl(faults, UFFDIO_API, &api) || ioctl(faults, UFFDIO_REGISTER, &range)) {
		perror("userfaultfd");
		exit(SKIPPED);
	}
	return pages + PAGE;
}

int main(int argc, char **argv)
{
	if (argc != 3) return fputs("usage: stuck-caller write|register FILE|ROOT\n", stderr), 2;
	int does_write = !strcmp(argv[1], "write");
	int file = does_write ? open(argv[2], O_WRONLY) : open_user_events(argv[2]);
	if (file < 0) fail("open");
	char *page = page_that_hangs();
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("calling\n");
	if (does_write) {
		ssize_t written = write(file, page, 16);
		printf("ended %s\n", written < 0 ? strerrorname_np(errno) : "0");
		return 0;
	}
	struct user_reg *request = (struct user_reg *)(page - 8);
	request->size = sizeof *request;
	while (ioctl(file, DIAG_IOCSREG, request) && errno == EFAULT);
	printf("ended %s\n", strerrorname_np(errno));
	return 0;
}
