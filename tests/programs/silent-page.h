/*
 * Memory that never comes: pages of a file in a file system that is that one file, and whose server does not answer reads.
 * packages/linux/src/memory/target.c has it too. To be included with _GNU_SOURCE defined.
 */
#ifndef SILENT_PAGE_H
#define SILENT_PAGE_H

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Answers what it takes to open and map the file, and no FUSE_READ. */
static inline void serve_silent_file(int device, mode_t permissions, uint64_t file_size)
{
	static char request[1 << 17];
	while (read(device, request, sizeof request) > 0) {
		struct fuse_in_header *in = (void *)request;
		struct {
			struct fuse_out_header header;
			union {
				struct fuse_init_out init;
				struct fuse_attr_out attr;
				struct fuse_open_out open;
			};
		} out = { .header = { .unique = in->unique } };
		size_t size = 0;
		if (in->opcode == FUSE_READ) continue;
		if (in->opcode == FUSE_INIT) {
			out.init = (struct fuse_init_out){ .major = 7, .minor = 31, .max_write = 4096 };
			size = sizeof out.init;
		} else if (in->opcode == FUSE_GETATTR) {
			out.attr.attr = (struct fuse_attr){
				.ino = 1, .size = file_size, .mode = S_IFREG | permissions, .nlink = 1, .blksize = 4096,
			};
			size = sizeof out.attr;
		} else if (in->opcode == FUSE_OPEN) {
			size = sizeof out.open;
		} else {
			out.header.error = -ENOSYS;
		}
		out.header.len = sizeof out.header + size;
		if (write(device, &out, out.header.len) < 0) break;
	}
}

/*
 * Maps such a file privately. It is mounted over PATH, a file, in a mount namespace of the caller's own. The server is a process of its own,
 * since a program cannot exit while its memory waits for a server that is part of it; it dies with the caller. OPTIONS are further ones
 * of mount(8). Returns NULL where FUSE is out of reach.
 */
static inline char *map_silent_pages(const char *path, const char *options, mode_t permissions, size_t size, pid_t *server)
{
	char all_options[200];
	struct stat size_is_asked_for;
	int device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (device < 0 || unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)) return NULL;
	snprintf(all_options, sizeof all_options, "fd=%d,rootmode=%o,user_id=0,group_id=0%s", device, S_IFREG | permissions,
		 options);
	if (mount("silent", path, "fuse", 0, all_options)) return NULL;
	*server = fork();
	if (*server == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		serve_silent_file(device, permissions, size);
		_exit(0);
	}
	close(device);
	int file = open(path, O_RDWR);
	if (file < 0 || fstat(file, &size_is_asked_for)) return NULL;
	char *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
	return pages == MAP_FAILED ? NULL : pages;
}

#endif
