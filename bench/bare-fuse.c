/*
 * The least FUSE server that a user_events writer can write to: what `usertrace serve` is measured against.
 *
 *   bare-fuse DIR
 *
 * Mounts itself at DIR with one file, user_events_data, opened with the flags that usertrace uses, and answers INIT,
 * LOOKUP, GETATTR, OPEN, WRITE and RELEASE; everything else is ENOSYS. It looks at nothing that is written. One
 * thread, blocking reads, no library. Prints "ready" and ends, unmounted, on SIGTERM. Needs root.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FILE_NODE = 2, MAX_WRITE = 128 * 1024, REQUEST_BYTES = MAX_WRITE + 4096, FOREVER_S = 1000000 };

static int device;
static const char *mount_point;

static void on_signal(int number)
{
	(void)number;
	umount2(mount_point, MNT_DETACH);
	_exit(0);
}

static void reply(uint64_t unique, int error, const void *body, size_t size)
{
	struct fuse_out_header head = { .len = sizeof head + size, .error = -error, .unique = unique };
	struct iovec parts[] = { { &head, sizeof head }, { (void *)body, size } };
	if (writev(device, parts, 2) < 0 && errno != ENOENT) perror("reply");
}

static struct fuse_attr attributes(uint64_t node)
{
	struct fuse_attr attr = { .ino = node, .nlink = 1, .blksize = 4096 };
	attr.mode = node == FILE_NODE ? S_IFREG | 0666 : S_IFDIR | 0755;
	return attr;
}

static void answer_lookup(const struct fuse_in_header *in, const char *name)
{
	struct fuse_entry_out entry = {
		.nodeid = FILE_NODE, .entry_valid = FOREVER_S, .attr_valid = FOREVER_S, .attr = attributes(FILE_NODE),
	};
	if (strcmp(name, "user_events_data")) reply(in->unique, ENOENT, NULL, 0);
	else reply(in->unique, 0, &entry, sizeof entry);
}

static void answer(const struct fuse_in_header *in, const void *body)
{
	struct fuse_init_out init = {
		.major = FUSE_KERNEL_VERSION, .minor = 31, .max_readahead = 0, .max_background = 12,
		.congestion_threshold = 9, .max_write = MAX_WRITE, .time_gran = 1,
	};
	struct fuse_attr_out attr = { .attr_valid = FOREVER_S, .attr = attributes(in->nodeid) };
	struct fuse_open_out opened = { .open_flags = FOPEN_STREAM | FOPEN_NONSEEKABLE };
	struct fuse_write_out written = { 0 };

	switch (in->opcode) {
	case FUSE_WRITE:
		written.size = ((const struct fuse_write_in *)body)->size;
		return reply(in->unique, 0, &written, sizeof written);
	case FUSE_INIT: return reply(in->unique, 0, &init, sizeof init);
	case FUSE_LOOKUP: return answer_lookup(in, body);
	case FUSE_GETATTR: return reply(in->unique, 0, &attr, sizeof attr);
	case FUSE_OPEN: return reply(in->unique, 0, &opened, sizeof opened);
	case FUSE_RELEASE: return reply(in->unique, 0, NULL, 0);
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET: return; /* these want no answer */
	default: return reply(in->unique, ENOSYS, NULL, 0);
	}
}

int main(int argc, char **argv)
{
	static char request[REQUEST_BYTES] __attribute__((aligned(8)));
	char options[128];
	if (argc != 2) return fputs("usage: bare-fuse DIR\n", stderr), 2;
	mount_point = argv[1];
	device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (device < 0) return perror("/dev/fuse"), 1;
	snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", device);
	if (mount("bare-fuse", mount_point, "fuse.bare", MS_NOSUID | MS_NODEV, options)) return perror("mount"), 1;
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		ssize_t got = read(device, request, sizeof request);
		if (got >= (ssize_t)sizeof(struct fuse_in_header))
			answer((struct fuse_in_header *)request, request + sizeof(struct fuse_in_header));
		else if (got < 0 && errno != EINTR && errno != EAGAIN && errno != ENOENT)
			return errno == ENODEV ? 0 : 1;
	}
}
