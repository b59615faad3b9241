/*
 * A user_events file that crosses to another program through a socket (SCM_RIGHTS, unix(7)).
 *
 *   passed-file ROOT
 *
 * The parent opens user_events_data and sends the descriptor to a child that has a new image (exec). The child
 * registers its own word at ADDRESS with it; the parent has a page of its own at the same address. Prints
 * "ready PARENT CHILD". For each line on standard input it prints "parent BIT child BIT". When the input ends the
 * child goes first; the parent then prints "parent BIT" again and exits 0 if its page never changed.
 */
#define _GNU_SOURCE
#include "user-events-abi.h"
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BIT = 31, PAGE = 4096, CHILD_SOCKET = 3 };
#define ADDRESS ((uint32_t *)0x200000000000)

static uint32_t *word_at_address(void)
{
	void *page = mmap(ADDRESS, PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (page != ADDRESS) fail("mmap");
	return page;
}

static void send_file(int socket, int file)
{
	char byte = 0, control[CMSG_SPACE(sizeof file)] = { 0 };
	struct iovec part = { &byte, 1 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof file);
	memcpy(CMSG_DATA(header), &file, sizeof file);
	if (sendmsg(socket, &message, 0) != 1) fail("sendmsg");
}

static int receive_file(int socket)
{
	int file;
	char byte, control[CMSG_SPACE(sizeof file)];
	struct iovec part = { &byte, 1 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	if (recvmsg(socket, &message, 0) != 1) fail("recvmsg");
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	if (!header || header->cmsg_type != SCM_RIGHTS) return fputs("no descriptor came\n", stderr), exit(1), -1;
	memcpy(&file, CMSG_DATA(header), sizeof file);
	return file;
}

/* The child answers each byte with its bit. */
static int be_child(void)
{
	uint32_t *word = word_at_address();
	int file = receive_file(CHILD_SOCKET);
	char byte = register_event(file, word, BIT, "passed u32 value") < 0;
	if (byte) perror("register in the child");
	while (write(CHILD_SOCKET, &byte, 1) == 1 && read(CHILD_SOCKET, &byte, 1) == 1) byte = is_enabled(word, BIT);
	return 0;
}

int main(int argc, char **argv)
{
	int ends[2];
	char byte;
	if (argc != 2) return fputs("usage: passed-file ROOT\n", stderr), 2;
	if (!strcmp(argv[1], "--child")) return be_child();

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends)) fail("socketpair");
	pid_t child = fork();
	if (child < 0) fail("fork");
	if (child == 0) {
		dup2(ends[1], CHILD_SOCKET);
		if (ends[1] == CHILD_SOCKET) fcntl(CHILD_SOCKET, F_SETFD, 0);
		execl("/proc/self/exe", "passed-file", "--child", NULL);
		_exit(127);
	}
	close(ends[1]);
	uint32_t *word = word_at_address();
	*word = 0;
	int file = open_user_events(argv[1]);
	if (file < 0) fail("open user_events_data");
	send_file(ends[0], file);
	if (read(ends[0], &byte, 1) != 1 || byte) return fputs("the child could not register\n", stderr), 1;
	printf("ready %d %d\n", getpid(), child);

	for (char line[64]; fgets(line, sizeof line, stdin);) {
		if (write(ends[0], &byte, 1) != 1 || read(ends[0], &byte, 1) != 1) return 1;
		printf("parent %d child %d\n", is_enabled(word, BIT), byte);
	}
	close(ends[0]);
	waitpid(child, NULL, 0);
	printf("parent %d\n", is_enabled(word, BIT));
	return *word ? 1 : 0;
}
