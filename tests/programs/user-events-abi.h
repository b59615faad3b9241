/*
 * The raw user_events ABI as the kernel documents it (Documentation/trace/user_events.rst), for programs
 * on machines whose <linux/user_events.h> is missing. Nothing here is particular to usertrace.
 */
#ifndef USER_EVENTS_ABI_H
#define USER_EVENTS_ABI_H

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

struct user_reg {
	uint32_t size;        /* of this structure */
	uint8_t enable_bit;   /* which bit of the word the tracer sets */
	uint8_t enable_size;  /* of the word: 4 or 8 bytes */
	uint16_t flags;
	uint64_t enable_addr; /* of the word, aligned to its size */
	uint64_t name_args;   /* address of the command text */
	uint32_t write_index; /* answer: what each write begins with */
} __attribute__((packed));

struct user_unreg {
	uint32_t size;
	uint8_t disable_bit;
	uint8_t reserved;
	uint16_t reserved2;
	uint64_t disable_addr;
} __attribute__((packed));

#define DIAG_IOCSREG _IOWR('*', 0, struct user_reg *)
#define DIAG_IOCSDEL _IOW('*', 1, char *)
#define DIAG_IOCSUNREG _IOW('*', 2, struct user_unreg *)

#define USER_EVENT_REG_PERSIST 1
#define USER_EVENT_REG_MULTI_FORMAT 2

/* Opens user_events_data below a tracefs root; a negative number on failure, with errno. */
static inline int open_user_events(const char *root)
{
	char path[512];
	snprintf(path, sizeof path, "%s/user_events_data", root);
	return open(path, O_RDWR | O_CLOEXEC);
}

/* Registers a 4-byte word; answers the write index, or -1 with errno. */
static inline int register_event(int file, uint32_t *word, int bit, const char *command)
{
	struct user_reg request = {
		.size = sizeof request,
		.enable_bit = bit,
		.enable_size = sizeof *word,
		.enable_addr = (uintptr_t)word,
		.name_args = (uintptr_t)command,
	};
	if (ioctl(file, DIAG_IOCSREG, &request)) return -1;
	return (int)request.write_index;
}

static inline int unregister_event(int file, uint32_t *word, int bit)
{
	struct user_unreg request = {
		.size = sizeof request,
		.disable_bit = bit,
		.disable_addr = (uintptr_t)word,
	};
	return ioctl(file, DIAG_IOCSUNREG, &request);
}

static inline int is_enabled(const uint32_t *word, int bit)
{
	return (__atomic_load_n(word, __ATOMIC_ACQUIRE) >> bit) & 1;
}

static inline void fail(const char *what)
{
	perror(what);
	exit(1);
}

#endif
