/*
 * Two processes that share one open file, and a third with a file of its own. The first writes from a page that never
 * comes: a userfaultfd that nobody serves holds its fault.
 *
 *   shared-writers ROOT
 *
 * Registers "shared u32 value", prints "ready", and waits for a line. Then prints, as it happens,
 *   "stuck PID"    the first process is in its write, and waits for its page
 *   "own RESULT"   what the third's write answered
 *   "waits PID"    the second is about to write
 *   "shared RESULT" what the second's write answered
 * Exit 77: this machine allows no userfaultfd.
 */
#define _GNU_SOURCE
#include "user-events-abi.h"
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, SKIPPED = 77, BIT = 31 };

static uint32_t words[2];
static int stuck[2];

static void *tell_of_fault(void *faults)
{
	struct uffd_msg message;
	if (read((int)(intptr_t)faults, &message, sizeof message) != sizeof message) fail("read userfaultfd");
	printf("stuck %d\n", getpid());
	if (write(stuck[1], ".", 1) < 0) fail("write");
	return NULL;
}

static void write_from_missing_page(int file, int faults)
{
	pthread_t teller;
	char *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct uffdio_register range = {
		.range = { (uintptr_t)page, PAGE },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	if (ioctl(faults, UFFDIO_REGISTER, &range)) fail("register the page");
	if (pthread_create(&teller, NULL, tell_of_fault, (void *)(intptr_t)faults)) fail("pthread_create");
	ssize_t count = write(file, page, 8);
	printf("stuck write %zd\n", count);
}

static void write_and_tell(int file, int index, const char *who)
{
	uint32_t event[2] = { index, 1 };
	printf("%s %zd\n", who, write(file, event, sizeof event));
}

int main(int argc, char **argv)
{
	char byte;
	if (argc != 2) return fputs("usage: shared-writers ROOT\n", stderr), 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	int file = open_user_events(argv[1]), own = open_user_events(argv[1]);
	if (file < 0 || own < 0) fail("open user_events_data");
	int index = register_event(file, &words[0], BIT, "shared u32 value");
	int own_index = register_event(own, &words[1], BIT, "shared u32 value");
	if (index < 0 || own_index < 0) fail("register");
	if (pipe(stuck)) fail("pipe");
	printf("ready\n");
	if (read(0, &byte, 1) < 1) return 0;
	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		int faults = syscall(SYS_userfaultfd, O_CLOEXEC);
		struct uffdio_api api = { .api = UFFD_API };
		if (faults < 0 || ioctl(faults, UFFDIO_API, &api)) {
			printf("no userfaultfd\n");
			_exit(SKIPPED);
		}
		write_from_missing_page(file, faults);
		_exit(0);
	}
	close(stuck[1]);
	if (read(stuck[0], &byte, 1) != 1) return SKIPPED;
	write_and_tell(own, own_index, "own");
	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		printf("waits %d\n", getpid());
		write_and_tell(file, index, "shared");
		_exit(0);
	}
	while (wait(NULL) > 0);
	return 0;
}
