/*
 * Registers with something that lies in a page which never comes: a file system of the program's own, which takes the
 * requests for it and does not answer.
 *
 *   silent-page ROOT word           registers once, with its word there; prints "answer ERRNO"
 *   silent-page ROOT name COUNT UID so many processes of that user register again and again, with the event's name there;
 *                                   prints "ready" when all have begun
 *
 * It mounts in a mount namespace of its own, and the server is a child that dies with it: then the kernel ends
 * everything that waits for the page. Ends when standard input does.
 */
#define _GNU_SOURCE
#include "silent-page.h"
#include "user-events-abi.h"
#include <errno.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { PAGE = 4096, PROCESSES_MAX = 1000, BIT = 31 };

static char *silent_pages(void)
{
	char path[] = "/tmp/silent-page-XXXXXX";
	pid_t server;
	if (mkstemp(path) < 0) fail("mkstemp");
	char *pages = map_silent_pages(path, ",allow_other", 0666, PAGE * PROCESSES_MAX, &server);
	if (pages == NULL) fail("map the silent file");
	umount2(path, MNT_DETACH);
	unlink(path);
	return pages;
}

static void register_for_ever(const char *root, const char *name, int uid, int begun)
{
	uint32_t word = 0;
	if (setgid(uid) || setuid(uid)) fail("setuid");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	int file = open_user_events(root);
	if (file < 0) fail("open user_events_data");
	if (write(begun, ".", 1) < 0) fail("write");
	for (;;) register_event(file, &word, BIT, name);
}

int main(int argc, char **argv)
{
	int is_word = argc == 3 && !strcmp(argv[2], "word"), is_name = argc == 5 && !strcmp(argv[2], "name");
	int count = is_name ? atoi(argv[3]) : 0, begun[2];
	char byte;
	if ((!is_word && !is_name) || count > PROCESSES_MAX) return fputs("usage: silent-page ROOT word|name\n", stderr), 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	char *pages = silent_pages();
	if (is_word) {
		int file = open_user_events(argv[1]);
		if (file < 0) fail("open user_events_data");
		int answer = register_event(file, (uint32_t *)pages, BIT, "silent u32 value");
		printf("answer %s\n", answer < 0 ? strerrorname_np(errno) : "none");
	}
	if (pipe(begun)) fail("pipe");
	for (int i = 0; i < count; i++)
		if (fork() == 0) register_for_ever(argv[1], pages + i * PAGE, atoi(argv[4]), begun[1]);
	for (int i = 0; i < count; i++)
		if (read(begun[0], &byte, 1) != 1) fail("read");
	if (is_name) printf("ready\n");
	while (read(0, &byte, 1) > 0);
	return 0;
}
