/*
 * The server of a file system that is one file, whose content never comes. packages/linux/src/memory/target.c has it too.
 */
#ifndef SILENT_PAGE_H
#define SILENT_PAGE_H

#include <errno.h>
#include <linux/fuse.h>
#include <stdint.h>
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

#endif
